// Runs every Gilly command against one node and collects what they print and leave behind.

import { COMMANDS } from "../../lib/commands/mod.ts";
import type { Gilly } from "../e2e/gilly.ts";
import type { AnyFakeNode } from "../fakes/node.ts";
import { runProgram, startProgram } from "../support/program.ts";

/** What all runs wrote; file names are without their folder. */
export interface Traces {
  /** Standard output and standard error of each run, by its command line. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Text of each file that the program made. */
  readonly files: ReadonlyMap<string, string>;
  /** Permission bits of those files. */
  readonly modes: ReadonlyMap<string, number>;
}

/** Ways to call each command; a command that is not here is run without arguments. */
export const CALLS: Readonly<Record<string, (image: string) => readonly (readonly string[])[]>> = {
  once: () => [["--dry-run"], ["--dry-run", "--json"], []],
  status: () => [["--json"], []],
  history: () => [["--json"], []],
  check: () => [["--json"], ["--output", "nagios"], []],
  explain: (image) => [[image], ["--json", image]],
  pull: (image) => [["--plain", image], ["--json", image]],
  export: () => ["containerd", "docker", "registries.conf", "k3s"].map((format) => [format]),
  version: () => [[]],
};

/**
 * Runs the daemon until `until` resolves, then every other command while it runs, with `image`
 * where one is needed. The config must have the ledger in the node's folder and `metrics.prom` next
 * to it, and may serve metrics on `metricsUrl`.
 */
export async function runEverything(
  node: AnyFakeNode,
  options: {
    readonly image: string;
    readonly until: (gilly: Gilly) => Promise<unknown>;
    readonly metricsUrl?: (gilly: Gilly) => Promise<string>;
    /** Additional environment variables of every run. */
    readonly env?: Record<string, string>;
  },
): Promise<Traces> {
  const runtimeDirectory = `${node.dir}/run`;
  await Deno.mkdir(runtimeDirectory, { recursive: true });
  const outputs = new Map<string, string>();
  const env = { RUNTIME_DIRECTORY: runtimeDirectory, ...options.env };
  const files = new Map<string, string>();
  const modes = new Map<string, number>();
  await using gilly = await startProgram(["run", "--config", node.configFile], env);
  await options.until(gilly);
  if (options.metricsUrl !== undefined) {
    outputs.set("GET /metrics", await (await fetch(`${await options.metricsUrl(gilly)}/metrics`)).text());
  }
  const calls = COMMANDS.filter(({ name }) => name !== "run").flatMap(({ name, flags }) => {
    const config = flags?.some((flag) => flag.name === "config") ? ["--config", node.configFile] : [];
    return (CALLS[name]?.(options.image) ?? [[]]).map((call) => [name, ...config, ...call]);
  });
  await Promise.all(calls.map(async (call) => {
    const { stdout, stderr } = await runProgram(call, env);
    outputs.set(call.filter((word) => word !== "--config" && word !== node.configFile).join(" "), stdout + stderr);
  }));
  for (const path of [node.ledgerFile, `${node.dir}/metrics.prom`, `${runtimeDirectory}/state.json`]) {
    const name = path.slice(path.lastIndexOf("/") + 1);
    const { mode } = await Deno.stat(path);
    files.set(name, await Deno.readTextFile(path));
    modes.set(name, (mode ?? 0) & 0o777);
  }
  await gilly.end("SIGTERM");
  outputs.set("run", gilly.journal.join("\n"));
  return { outputs, files, modes };
}

/** Everything that was written, each text with its source. */
export function textsOf({ outputs, files }: Traces): readonly (readonly [string, string])[] {
  return [...outputs, ...files];
}
