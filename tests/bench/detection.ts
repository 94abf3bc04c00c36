// How soon Gilly pulls a missing image after it could know of it: real kubelet, real Engine, real
// mirror, one pod after another.

import { delay } from "@std/async/delay";
import { Gilly } from "../e2e/gilly.ts";
import { busyboxLayer, putImage, randomLayer } from "../e2e/registry_images.ts";
import { startWorker, type Worker } from "../e2e/worker.ts";
import { missingForEndToEnd } from "../support/requirements.ts";
import { followStarts, tapEngine } from "./engine_tap.ts";
import { FailureWatch } from "./failure_watch.ts";
import { type Finding, fixed, type Measurement, quantile, type RunOptions } from "./measurement.ts";

type Mode = "eager" | "on-failure";
const MODES: readonly Mode[] = ["eager", "on-failure"];
const LIMITS: Readonly<Record<Mode, number>> = { eager: 250, "on-failure": 500 };

/** Milliseconds of one pod: from its sandbox's start, and from the kubelet's report of its failure. */
interface Sample {
  readonly sinceSandbox: number;
  /** Undefined if the pull was requested before the kubelet reported the failure. */
  readonly sinceReport: number | undefined;
}

export const detection: Measurement = {
  name: "detection",
  title: "Detection",
  missing: missingForEndToEnd,
  async run(options: RunOptions): Promise<Finding> {
    const count = options.quick ? 8 : 50;
    const worker = await startWorker();
    try {
      await seed(worker, count, options);
      const eager = (await measure(worker, "eager", count, options)).map(({ sinceSandbox }) => sinceSandbox);
      const samples = await measure(worker, "on-failure", count, options);
      const reported = samples.flatMap(({ sinceReport }) => sinceReport ?? []);
      const row = (mode: Mode, what: string, times: readonly number[]) => [
        mode,
        what,
        ...[0.5, 0.95, 1].map((share) => fixed(quantile(times, share))),
      ];
      return {
        method:
          `${count} pods for each mode on a real worker, one after another, each with an image of its own that only ` +
          `the mirror has; until Docker is asked to pull it, seen at Docker's socket.`,
        headings: ["mode", "from", "p50 ms", "p95 ms", "max ms"],
        rows: [
          row("eager", "the sandbox's start", eager),
          row("on-failure", "the kubelet's report of the failure", reported),
          row("on-failure", "the sandbox's start", samples.map(({ sinceSandbox }) => sinceSandbox)),
        ],
        aims: MODES.map((mode) => ({
          what: `${mode}, p95`,
          measured: quantile(mode === "eager" ? eager : reported, 0.95),
          limit: LIMITS[mode],
          unit: " ms",
        })),
        notes: [
          "The sandbox's start is Docker's own time stamp. The kubelet is asked every 20 ms; the report counts from the " +
          "last time it did not show the failure, so this errs on the long side.",
          "A poll every 300 s, as the original had, takes 150,000 ms on average.",
        ],
      };
    } catch (error) {
      options.say(await worker.logs());
      throw error;
    } finally {
      await worker.stop();
    }
  },
};

async function seed(worker: Worker, count: number, { say }: RunOptions): Promise<void> {
  say("putting images into the mirror");
  const base = await busyboxLayer();
  for (const mode of MODES) {
    for (let index = 0; index < count; index++) {
      await putImage({ host: worker.mirrorHost(0) }, pathOf(mode, index), "1", [base, await randomLayer(1000)]);
    }
  }
}

async function measure(worker: Worker, mode: Mode, count: number, { say }: RunOptions): Promise<Sample[]> {
  await using tap = tapEngine(worker.engine, `${worker.dir}/${mode}.sock`);
  await using starts = await followStarts(worker.engine);
  await using watch = new FailureWatch(worker.kubelet);
  const config = await worker.writeConfig({
    registries: { "gcr.io": worker.mirrorHost(0) },
    docker: { socket: tap.socket },
    repair: { mode },
    ledger: { file: `${worker.dir}/ledger/${mode}.jsonl` },
    poll: {},
  }, `${mode}.yaml`);
  await using gilly = new Gilly(["run", "--config", config], { logFile: `${worker.dir}/${mode}.log` });
  await gilly.waitForLine(/Checks done/);
  const samples: Sample[] = [];
  for (let index = 0; index < count; index++) {
    const name = `${mode}-${index}`;
    const fullName = `${name}-${worker.kubelet.nodeName}`;
    await worker.addPod({ name, containers: [{ name: "app", image: `gcr.io/${pathOf(mode, index)}:1` }] });
    const sandbox = await starts.sandbox(fullName);
    const pulled = await tap.pullRequested(`${worker.mirrorHost(0)}/${pathOf(mode, index)}:1`);
    const reported = watch.reportedAfter.get(fullName);
    samples.push({
      sinceSandbox: pulled - sandbox,
      sinceReport: reported === undefined || reported > pulled ? undefined : pulled - reported,
    });
    await worker.removePod(name);
    // The last pod's events keep triggering passes for three seconds. Each pod should find the
    // daemon idle, at a random point of its idle time.
    await delay(REST_MS + 1000 * Math.random());
    if (index % 10 === 9) say(`detection, ${mode}: ${index + 1} pods`);
  }
  return samples;
}

const REST_MS = 4500;

function pathOf(mode: Mode, index: number): string {
  return `bench/${mode}-${index}`;
}
