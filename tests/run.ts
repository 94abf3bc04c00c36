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
 * Groups that run some at a time, the longest first: they mostly wait. Kubelets start many
 * containers at once, so the tests that start one are in two groups, and never more than two run.
 */
export const TOGETHER: readonly Group[] = [
  {
    name: "workers",
    paths: [
      "tests/e2e/",
      "tests/host/ansible_test.ts",
      "tests/host/credentials_test.ts",
      "tests/host/packages_test.ts",
      "tests/host/whole_way_test.ts",
    ],
  },
  { name: "hosts", paths: ["tests/host/"] },
  { name: "mirrors", paths: ["tests/e2e/mirrors_test.ts"] },
  { name: "programs", paths: ["tests/program/"] },
  { name: "others", paths: ["tests/"] },
  {
    name: "runtimes",
    paths: [
      "tests/e2e/auth_file_clients_test.ts",
      "tests/e2e/check_test.ts",
      "tests/e2e/export_consumers_test.ts",
      "tests/e2e/public_reports_test.ts",
      "tests/e2e/runtime_texts_test.ts",
      "tests/e2e/via_proxy_test.ts",
    ],
  },
  { name: "units", paths: ["tests/unit/"] },
];

/** How many of them run at once. */
const AT_ONCE = 3;

/** Groups that run after those, one at a time: they measure delays, or start workers of their own. */
export const ALONE: readonly Group[] = [
  { name: "redirect", paths: ["tests/faults/redirect_test.ts"] },
  { name: "faults", paths: ["tests/faults/", "tests/security/"], jobs: 4 },
];

/** Seconds after which a group is taken to hang. */
const LIMIT_SECONDS = 1800;
/** A process that has not ended this long after a signal is killed. */
const PATIENCE_MS = 10_000;

/**
 * Returns the files of a group of `all`. Deno is given each of them: what it leaves out for
 * `--ignore` depends on the other paths that it is given.
 */
export function filesOf({ paths }: Group, all: readonly Group[]): string[] {
  const nearest = (file: string) =>
    all.flatMap((group) => group.paths).filter((path) => file.startsWith(path))
      .reduce((longest, path) => path.length > longest.length ? path : longest);
  return paths.flatMap((path) => path.endsWith("/") ? testFiles(path) : [path])
    .filter((file) => paths.includes(nearest(file)));
}

/** Returns the test files in a folder of the project, and in the folders in it. */
export function testFiles(folder: string): string[] {
  return [...Deno.readDirSync(PROJECT + folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? testFiles(`${folder}${name}/`) : name.endsWith("_test.ts") ? [folder + name] : []
  ).sort();
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
        ...[Deno.execPath(), "test", "--allow-all", "--no-check", ...(group.jobs === undefined ? [] : ["--parallel"])],
        ...filesOf(group, this.#all),
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

/** Whether all types are right: checked once, as in `deno task ok`, and not by each group anew. */
async function checkTypes(): Promise<boolean> {
  const args = ["check", "--quiet", "main.ts", "lib", "tests", "tools"];
  const { success } = await new Deno.Command(Deno.execPath(), { args, cwd: PROJECT, stdin: "null" }).spawn().status;
  return success;
}

async function main(): Promise<boolean> {
  const all = [...TOGETHER, ...ALONE];
  const isWanted = ({ name }: Group) => Deno.args.length === 0 || Deno.args.includes(name);
  const unknown = Deno.args.filter((name) => all.every((group) => group.name !== name));
  if (unknown.length > 0) {
    console.error(`cannot run ${unknown.join(", ")}: expected ${all.map(({ name }) => name).join(", ")}`);
    return false;
  }
  if (!await checkTypes()) return false;
  const folder = await Deno.makeTempDir({ prefix: "gilly-tests-" });
  const runner = new Runner(all, { folder });
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => runner.stop(signal));
  await runner.run(TOGETHER.filter(isWanted), AT_ONCE);
  await runner.run(ALONE.filter(isWanted), 1);
  await Deno.remove(folder, { recursive: true });
  if (runner.failed.length > 0) console.log(`groups that failed: ${runner.failed.join(", ")}`);
  return runner.failed.length === 0;
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
