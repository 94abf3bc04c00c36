// How soon Gilly has a missing image pulled after it could know of it: a real worker with Docker and
// one with containerd, each with its kubelet and mirror, one pod after another in turns.

import { delay } from "@std/async/delay";
import type { RuntimeKind } from "../../lib/runtime/open.ts";
import { startFaultyRegistry } from "../e2e/faulty_registry.ts";
import { Gilly } from "../e2e/gilly.ts";
import { busyboxLayer, putImage, randomLayer } from "../e2e/registry_images.ts";
import { startWorker, type Worker } from "../e2e/worker.ts";
import { missingForEndToEnd } from "../support/requirements.ts";
import { FailureWatch } from "./failure_watch.ts";
import { type Finding, fixed, type Measurement, quantile, type RunOptions } from "./measurement.ts";
import { Book, followStarts, followTasks, wallClock } from "./starts.ts";

type Mode = "eager" | "on-failure";
const MODES: readonly Mode[] = ["eager", "on-failure"];
const LIMITS: Readonly<Record<Mode, number>> = { eager: 250, "on-failure": 500 };
const RUNTIMES: readonly RuntimeKind[] = ["docker", "containerd"];
const NAMES: Readonly<Record<RuntimeKind, string>> = { docker: "Docker", containerd: "containerd" };

/** Milliseconds of one pod: from its sandbox's start, and from the kubelet's report of its failure. */
interface Sample {
  readonly sinceSandbox: number;
  /** Undefined if the mirror was asked before the kubelet reported the failure. */
  readonly sinceReport: number | undefined;
}

/** The samples of each worker in one mode. */
type Samples = Readonly<Record<RuntimeKind, readonly Sample[]>>;

export const detection: Measurement = {
  name: "detection",
  title: "Detection",
  missing: () => [...new Set(RUNTIMES.flatMap((runtime) => missingForEndToEnd(runtime)))],
  async run(options: RunOptions): Promise<Finding> {
    const count = options.quick ? 5 : 50;
    await using parts = new AsyncDisposableStack();
    const workers: Worker[] = [];
    for (const runtime of RUNTIMES) {
      workers.push(parts.adopt(await startWorker({ runtime }), (worker) => worker.stop()));
    }
    try {
      for (const worker of workers) await seed(worker, count, options);
      const eager = await measure(workers, "eager", count, options);
      return findingOf(count, eager, await measure(workers, "on-failure", count, options));
    } catch (error) {
      for (const worker of workers) options.say(await worker.logs());
      throw error;
    }
  },
};

function findingOf(count: number, eager: Samples, onFailure: Samples): Finding {
  const sinceSandbox = ({ sinceSandbox }: Sample) => sinceSandbox;
  const sinceReport = ({ sinceReport }: Sample) => sinceReport ?? [];
  const measured = [
    { mode: "eager", from: "the sandbox's start", samples: eager, timesOf: sinceSandbox, isAim: true },
    {
      mode: "on-failure",
      from: "the kubelet's report of the failure",
      samples: onFailure,
      timesOf: sinceReport,
      isAim: true,
    },
    { mode: "on-failure", from: "the sandbox's start", samples: onFailure, timesOf: sinceSandbox, isAim: false },
  ] as const;
  const lines = measured.flatMap(({ mode, from, samples, timesOf, isAim }) => {
    const times = (runtime: RuntimeKind) => samples[runtime].flatMap(timesOf);
    const p95 = (runtime: RuntimeKind) => quantile(times(runtime), 0.95);
    return RUNTIMES.map((runtime) => ({
      mode,
      from,
      runtime,
      times: times(runtime),
      isAim,
      p95: p95(runtime),
      docker: p95("docker"),
    }));
  });
  return {
    method:
      `${count} pods for each mode on a real worker with Docker and on one with containerd, one after another in ` +
      `turns, each with an image of its own that only the mirror has; until the mirror is asked for it. The ratio is ` +
      `of p95, to Docker's.`,
    headings: ["mode", "runtime", "from", "p50 ms", "p95 ms", "max ms", "ratio"],
    rows: lines.map(({ mode, runtime, from, times, p95, docker }) => [
      mode,
      NAMES[runtime],
      from,
      ...[0.5, 0.95, 1].map((share) => fixed(quantile(times, share))),
      runtime === "docker" ? "" : fixed(p95 / docker, 2),
    ]),
    aims: lines.filter(({ isAim }) => isAim).map(({ mode, runtime, p95 }) => ({
      what: `${mode} on ${NAMES[runtime]}, p95`,
      measured: p95,
      limit: LIMITS[mode],
      unit: " ms",
    })),
    notes: [
      "The sandbox's start is the runtime's own time stamp. The kubelet is asked every 20 ms; the report counts from the " +
      "last time it did not show the failure, so this errs on the long side. So does the end: the runtime needs a few " +
      "milliseconds before it asks the mirror.",
      "A poll every 300 s, as the original had, takes 150,000 ms on average.",
    ],
  };
}

async function seed(worker: Worker, count: number, { say }: RunOptions): Promise<void> {
  say("putting images into a mirror");
  const base = await busyboxLayer();
  for (const mode of MODES) {
    for (let index = 0; index < count; index++) {
      await putImage({ host: worker.mirrorHost(0) }, pathOf(mode, index), "1", [base, await randomLayer(1000)]);
    }
  }
}

/** A worker with a daemon in one mode. */
interface Bench extends AsyncDisposable {
  /** Runs the pod with that index, which goes away once the mirror was asked for its image. */
  run(index: number): Promise<Sample>;
}

async function measure(
  workers: readonly Worker[],
  mode: Mode,
  count: number,
  { say }: RunOptions,
): Promise<Samples> {
  await using parts = new AsyncDisposableStack();
  const benches = new Map<RuntimeKind, Bench>();
  for (const worker of workers) benches.set(worker.runtime.kind, parts.use(await openBench(worker, mode)));
  const samples: Record<RuntimeKind, Sample[]> = { docker: [], containerd: [] };
  for (let index = 0; index < count; index++) {
    for (const [runtime, bench] of benches) {
      samples[runtime].push(await bench.run(index));
      // The last pod's events keep triggering passes for three seconds. Each pod should find the
      // daemon idle, at a random point of its idle time.
      await delay(REST_MS + 1000 * Math.random());
    }
    if (index % 10 === 9) say(`detection, ${mode}: ${index + 1} pods`);
  }
  return samples;
}

async function openBench(worker: Worker, mode: Mode): Promise<Bench> {
  await using parts = new AsyncDisposableStack();
  const asked = new Book<string>();
  const mirror = startFaultyRegistry(worker.mirrorHost(0), ({ url }, forward) => {
    asked.note(/^\/v2\/(.*)\/manifests\//.exec(new URL(url).pathname)?.[1] ?? "", wallClock());
    return forward();
  });
  parts.defer(() => mirror.stop());
  const sandboxOf = await followSandboxes(worker, parts);
  const watch = parts.use(new FailureWatch(worker.kubelet));
  const config = await worker.writeConfig({
    registries: { "gcr.io": mirror.host },
    repair: { mode },
    ledger: { file: `${worker.dir}/ledger/${mode}.jsonl` },
    poll: {},
  }, `${mode}.yaml`);
  const gilly = parts.use(new Gilly(["run", "--config", config], { logFile: `${worker.dir}/${mode}.log` }));
  await gilly.waitForLine(/Checks done/);
  const kept = parts.move();
  return {
    async run(index) {
      const name = `${mode}-${index}`;
      const fullName = `${name}-${worker.kubelet.nodeName}`;
      const begin = wallClock();
      await worker.addPod({ name, containers: [{ name: "app", image: `gcr.io/${pathOf(mode, index)}:1` }] });
      const sandbox = await sandboxOf(fullName, begin);
      const pulled = await asked.when(pathOf(mode, index));
      const reported = watch.reportedAfter.get(fullName);
      await worker.removePod(name);
      return {
        sinceSandbox: pulled - sandbox,
        sinceReport: reported === undefined || reported > pulled ? undefined : pulled - reported,
      };
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Returns a function that tells when the sandbox of a pod started, which was added at `begin`. */
async function followSandboxes(
  { runtime }: Worker,
  parts: AsyncDisposableStack,
): Promise<(pod: string, begin: number) => Promise<number>> {
  if (runtime.kind === "containerd") {
    const starts = parts.use(followTasks(runtime.containerd));
    return (_, begin) => starts.after(begin);
  }
  const starts = parts.use(await followStarts(runtime.engine));
  return (pod) => starts.sandbox(pod);
}

const REST_MS = 4500;

function pathOf(mode: Mode, index: number): string {
  return `bench/${mode}-${index}`;
}
