// `run.ts [GROUP…]`: runs the tests in groups, some of them side by side, and prints the output of a
// group in one piece when it ends. Fails if any group fails.

import { PROJECT } from "../tools/deno.ts";

/** Test files that run one after another in one `deno test`, or at most `jobs` at once. */
export interface Group {
  readonly name: string;
  /** Folders, with a slash at the end, and files; a longer path of another group takes precedence. */
  readonly paths: readonly string[];
  readonly jobs?: number;
}

/**
 * Groups that run two at a time, the longest first: they mostly wait. Two kubelets disturb each
 * other, so all tests that start one are in the same group.
 */
export const TOGETHER: readonly Group[] = [
  { name: "workers", paths: ["tests/e2e/", "tests/host/credentials_test.ts", "tests/host/whole_way_test.ts"] },
  { name: "hosts", paths: ["tests/host/"] },
  { name: "programs", paths: ["tests/program/"] },
  { name: "others", paths: ["tests/"] },
];

/** Groups that run after those, one at a time: they measure delays, or start workers of their own. */
export const ALONE: readonly Group[] = [
  { name: "redirect", paths: ["tests/faults/redirect_test.ts"] },
  { name: "faults", paths: ["tests/faults/", "tests/security/"], jobs: 4 },
];

/** Seconds after which a group is taken to hang. */
const LIMIT_SECONDS = 900;
/** A process that has not ended this long after a signal is killed. */
const PATIENCE_MS = 10_000;

/** Returns the arguments of Deno that run a group of `all`. */
export function argumentsOf({ paths, jobs }: Group, all: readonly Group[]): string[] {
  const others = all.flatMap((group) => group.paths).filter((path) => !paths.includes(path));
  const ignored = others.filter((other) => paths.some((path) => other.startsWith(path)));
  return [
    ...["test", "--allow-all", ...(jobs === undefined ? [] : ["--parallel"])],
    ...(ignored.length === 0 ? [] : [`--ignore=${ignored.join()}`]),
    ...paths,
  ];
}

/** Where a runner keeps the output of groups until it prints it, and after how long a group hangs. */
export interface RunnerOptions {
  readonly folder: string;
  readonly print?: (text: string) => void;
  readonly limitSeconds?: number | undefined;
}

/** Runs groups, each as a `deno test` of its own. */
export class Runner {
  readonly #all: readonly Group[];
  readonly #folder: string;
  readonly #print: (text: string) => void;
  readonly #limitSeconds: number;
  readonly #running = new Set<Deno.ChildProcess>();
  #stopped = false;
  /** The names of the groups that failed or were not run. */
  readonly failed: string[] = [];

  /** `all` are the groups that share the tests; not all of them need to be run. */
  constructor(all: readonly Group[], { folder, print = console.log, limitSeconds = LIMIT_SECONDS }: RunnerOptions) {
    this.#all = all;
    this.#folder = folder;
    this.#print = print;
    this.#limitSeconds = limitSeconds;
  }

  /** Runs groups in this order, at most `atOnce` at a time. */
  async run(groups: readonly Group[], atOnce: number): Promise<void> {
    const queue = [...groups];
    const lane = async () => {
      for (let group = queue.shift(); group !== undefined; group = queue.shift()) {
        if (this.#stopped || !await this.#runOne(group)) this.failed.push(group.name);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, lane));
  }

  /** Passes a signal on to what runs now; nothing more is started. */
  stop(signal: Deno.Signal): void {
    this.#stopped = true;
    for (const child of this.#running) void end(child, signal);
  }

  async #runOne(group: Group): Promise<boolean> {
    const start = performance.now();
    const log = `${this.#folder}/${group.name}.log`;
    this.#print(`-- ${group.name}: started; its output is in ${log} until it ends`);
    const child = new Deno.Command("sh", {
      // One file for both, so that the lines stay in their order.
      args: [
        "-c",
        'log=$1; shift; exec "$@" >"$log" 2>&1',
        "sh",
        log,
        Deno.execPath(),
        ...argumentsOf(group, this.#all),
      ],
      cwd: PROJECT,
      env: group.jobs === undefined ? {} : { DENO_JOBS: String(group.jobs) },
      stdin: "null",
    }).spawn();
    this.#running.add(child);
    let hangs = false;
    const limit = setTimeout(() => {
      hangs = true;
      // Deno then names the tests that have not ended.
      void end(child, "SIGINT");
    }, this.#limitSeconds * 1000);
    const { success } = await child.status;
    clearTimeout(limit);
    this.#running.delete(child);
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    const verdict = hangs
      ? `FAILED, not done after ${this.#limitSeconds} s`
      : `${success ? "ok" : "FAILED"}, ${seconds} s`;
    this.#print(
      `-- ${group.name}\n${(await Deno.readTextFile(log).catch(() => "")).trim()}\n-- ${group.name}: ${verdict}`,
    );
    return success && !hangs;
  }
}

async function end(child: Deno.ChildProcess, signal: Deno.Signal): Promise<void> {
  const send = (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch {
      // It has already ended.
    }
  };
  send(signal);
  const kill = setTimeout(send, PATIENCE_MS, "SIGKILL");
  await child.status;
  clearTimeout(kill);
}

async function main(): Promise<boolean> {
  const all = [...TOGETHER, ...ALONE];
  const isWanted = ({ name }: Group) => Deno.args.length === 0 || Deno.args.includes(name);
  const unknown = Deno.args.filter((name) => all.every((group) => group.name !== name));
  if (unknown.length > 0) {
    console.error(`cannot run ${unknown.join(", ")}: expected ${all.map(({ name }) => name).join(", ")}`);
    return false;
  }
  const folder = await Deno.makeTempDir({ prefix: "gilly-tests-" });
  const runner = new Runner(all, { folder });
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => runner.stop(signal));
  await runner.run(TOGETHER.filter(isWanted), 2);
  await runner.run(ALONE.filter(isWanted), 1);
  await Deno.remove(folder, { recursive: true });
  if (runner.failed.length > 0) console.log(`groups that failed: ${runner.failed.join(", ")}`);
  return runner.failed.length === 0;
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
