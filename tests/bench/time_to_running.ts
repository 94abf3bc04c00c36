// The time from a pod to its running container on a real worker, compared with the best possible
// time.

import { delay } from "@std/async/delay";
import { tagImage } from "../e2e/engine.ts";
import { type FaultyRegistry, startFaultyRegistry } from "../e2e/faulty_registry.ts";
import { Gilly } from "../e2e/gilly.ts";
import { busyboxLayer, putImage, randomLayer } from "../e2e/registry_images.ts";
import { startWorker, type Worker } from "../e2e/worker.ts";
import { missingForEndToEnd } from "../support/requirements.ts";
import { FailureWatch } from "./failure_watch.ts";
import { type Aim, type Finding, fixed, type Measurement, median, quantile, type RunOptions } from "./measurement.ts";
import { followStarts, type Starts, wallClock } from "./starts.ts";

/** Extra seconds that the mirror takes for an image; it takes about 0.1 s anyway. */
const PULLS = [0, 3, 8];
/** The original's seconds between two polls. */
const ORIGINAL_PAUSE = 300;
/**
 * A container that starts later than this after the failure missed the kubelet's first retry. The
 * kubelet retries 10 to 15 s after a failure (pkg/kubelet/pod_workers.go: a back-off of 10 s with a
 * jitter of a half), by a clock that ticks every second.
 */
const FIRST_RETRY_SECONDS = 18;

/** A way for a pod to get its image, and the registry in the image's name. */
interface Way {
  readonly name: string;
  readonly registry: string;
  readonly pull: number;
}

/** By then the sync that reported the failure is over, and the next one is still far off. */
const LATER_MS = 1000;

const WAYS: readonly Way[] = [
  { name: "local", registry: "local.example", pull: 0 },
  { name: "oracle", registry: "oracle.example", pull: 0 },
  { name: "later-oracle", registry: "later-oracle.example", pull: 0 },
  ...PULLS.map((pull) => ({ name: `on-failure-${pull}`, registry: "gcr.io", pull })),
  ...PULLS.map((pull) => ({ name: `eager-${pull}`, registry: "quay.io", pull })),
];

/** The times of one pod, in seconds. */
interface Sample {
  readonly running: number;
  /**
   * From the pod to the kubelet's report that its image cannot be pulled; undefined without one.
   */
  readonly reported: number | undefined;
}

export const timeToRunning: Measurement = {
  name: "time_to_running",
  title: "Time to running",
  missing: missingForEndToEnd,
  async run(options: RunOptions): Promise<Finding> {
    const worker = await startWorker();
    const mirror = startFaultyRegistry(worker.mirrorHost(0), slowly);
    try {
      return findingOf(await measure(worker, mirror, options));
    } catch (error) {
      options.say(await worker.logs());
      throw error;
    } finally {
      await mirror.stop();
      await worker.stop();
    }
  },
};

/**
 * Serves blobs of `slow-N/…` no sooner than N seconds after the first request to the repository.
 */
const askedAt = new Map<string, number>();
const slowly: FaultyRegistry["fault"] = async ({ method, url }, forward) => {
  const [, repository, seconds, kind] = /\/v2\/(slow-(\d+)\/[^/]+)\/(manifests|blobs)\//.exec(url) ?? [];
  if (repository === undefined) return await forward();
  const since = askedAt.get(repository) ?? performance.now();
  askedAt.set(repository, since);
  if (kind === "blobs" && method === "GET") {
    await delay(Math.max(0, since + 1000 * Number(seconds) - performance.now()));
  }
  return await forward();
};

async function measure(
  worker: Worker,
  mirror: FaultyRegistry,
  { quick, say }: RunOptions,
): Promise<Map<string, Sample[]>> {
  const [rounds, podsPerRound] = quick ? [1, 2] : [12, 3];
  const samples = new Map<string, Sample[]>(WAYS.map(({ name }) => [name, []]));
  const prepared = await prepare(worker, rounds * podsPerRound, say);
  await using starts = await followStarts(worker.engine);
  await using watch = new FailureWatch(worker.kubelet, (pod) => void prepared.oracle(pod));
  await using onFailure = await startGilly(worker, mirror, "on-failure", "gcr.io");
  await using eager = await startGilly(worker, mirror, "eager", "quay.io");
  for (let round = 0; round < rounds; round++) {
    const pods = WAYS.flatMap((way) => Array.from({ length: podsPerRound }, (_, index) => ({ way, index })));
    // The order is random.
    pods.sort(() => Math.random() - 0.5);
    await Promise.all(pods.map(async ({ way, index }, place) => {
      await delay(PODS_APART_MS * place);
      const sample = await runOne(worker, way, round * podsPerRound + index, starts, watch);
      samples.get(way.name)!.push(sample);
    }));
    say(`time to running: round ${round + 1} of ${rounds}`);
  }
  await Promise.all([onFailure.end(), eager.end()]);
  return samples;
}

/** Far enough apart that one pod's start does not delay another's. */
const PODS_APART_MS = 2500;

async function runOne(worker: Worker, way: Way, index: number, starts: Starts, watch: FailureWatch): Promise<Sample> {
  const name = `${way.name}-${index}`;
  const fullName = `${name}-${worker.kubelet.nodeName}`;
  await worker.addPod({ name, containers: [{ name: "app", image: imageOf(way, index) }] });
  const created = wallClock();
  const running = await starts.container(fullName);
  const reported = watch.reportedAfter.get(fullName);
  await worker.removePod(name);
  return {
    running: (running - created) / 1000,
    reported: reported === undefined ? undefined : (reported - created) / 1000,
  };
}

/**
 * Puts every image where its way needs it. The oracles have their images under another name and tag
 * them on failure.
 */
async function prepare(worker: Worker, count: number, say: RunOptions["say"]) {
  say("making images");
  const base = await busyboxLayer();
  const originals = new Map<string, { readonly source: string; readonly reference: string }>();
  for (const way of WAYS) {
    for (let index = 0; index < count; index++) {
      const image = imageOf(way, index);
      if (way.name === "local") await worker.addImage(image);
      else if (way.name.endsWith("oracle")) {
        const source = await worker.addImage(`prepared/${way.name}-${index}:1`);
        originals.set(`${way.name}-${index}-${worker.kubelet.nodeName}`, { source, reference: image });
      } else {
        await putImage({ host: worker.mirrorHost(0) }, pathOf(way, index), "1", [base, await randomLayer(10_000)]);
      }
    }
  }
  return {
    async oracle(pod: string): Promise<void> {
      const original = originals.get(pod);
      if (original?.reference.startsWith("later-oracle.")) await delay(LATER_MS);
      if (original !== undefined) await tagImage(worker.engine, original.source, original.reference);
    },
  };
}

async function startGilly(worker: Worker, mirror: FaultyRegistry, mode: string, registry: string): Promise<Gilly> {
  const config = await worker.writeConfig({
    registries: { [registry]: mirror.host },
    repair: { mode },
    ledger: { file: `${worker.dir}/ledger/${mode}.jsonl` },
    poll: {},
  }, `${mode}.yaml`);
  const gilly = new Gilly(["run", "--config", config], { logFile: `${worker.dir}/${mode}.log` });
  await gilly.waitForLine(/Checks done/);
  return gilly;
}

function pathOf({ name, pull }: Way, index: number): string {
  return `slow-${pull}/${name}-${index}`;
}

function imageOf(way: Way, index: number): string {
  return `${way.registry}/${pathOf(way, index)}:1`;
}

function findingOf(samples: ReadonlyMap<string, readonly Sample[]>): Finding {
  const of = (name: string) => samples.get(name)!;
  const runningOf = (name: string) => median(of(name).map(({ running }) => running));
  const [oracle, later] = [runningOf("oracle"), runningOf("later-oracle")];
  const row = (what: string, name: string) => [
    what,
    ...[0.5, 0.95].map((share) => fixed(share === 0.5 ? runningOf(name) : quantile(runningTimes(of(name)), share), 1)),
    fixed(runningOf(name) / oracle, 2),
    fixed(runningOf(name) / later, 2),
    retries(of(name)),
  ];
  const model = modelOfOriginal(of("later-oracle"));
  const beside = besideOf(samples);
  const slowest = PULLS.map((pull) => `on-failure-${pull}`);
  return {
    method: `From the pod's manifest to its container's start by Docker's clock, on a real worker; ` +
      `${of("oracle").length} pods for each row, each with an image of its own, all rows interleaved. The mirror is ` +
      `slowed down so that a pull takes that long.`,
    headings: ["way", "p50 s", "p95 s", "of oracle", "of later oracle", "at 1st retry"],
    rows: [
      row("the image is there already (the floor)", "local"),
      row("an oracle tags it the instant the failure is reported", "oracle"),
      row("a later oracle tags it a second after that", "later-oracle"),
      ...PULLS.map((pull) => row(`on-failure, a pull of ${pull || 0.1} s`, `on-failure-${pull}`)),
      ...PULLS.map((pull) => row(`eager, a pull of ${pull || 0.1} s`, `eager-${pull}`)),
      [
        "the original, a pull of 0.1 s (a model)",
        ...model.map((s) => fixed(s, 1)),
        fixed(model[0] / oracle, 2),
        fixed(model[0] / later, 2),
        "",
      ],
    ],
    aims: [
      ...PULLS.map((pull) => beside("the later oracle", later, `on-failure-${pull}`)),
      beside("the oracle", oracle, "on-failure-0"),
      beside("the oracle", oracle, "eager-0"),
      {
        what: "pods that missed the kubelet's first retry",
        measured: slowest.reduce((sum, name) => sum + of(name).filter((sample) => !atFirstRetry(sample)).length, 0),
        limit: 0,
        unit: "",
      },
    ],
    notes: [
      "The kubelet reports a failure while it looks a second time, and a tag within a few hundredths of a second is still " +
      "found by that very look: the oracle, which has the image and only tags it, makes use of that. Whoever has to pull " +
      "cannot, once the failure is reported; the kubelet then looks again 10 to 15 s later, at a time it rolls dice for, " +
      "so the later oracle is the limit. An eager repair begins with the sandbox, and a short pull is done before that " +
      "second look.",
      `The model of the original: it looks every ${ORIGINAL_PAUSE} s, the failure falls anywhere in between, the pull takes ` +
      "0.1 s, and the kubelet looks again within the gap measured here; the rest as the later oracle.",
    ],
  };
}

function besideOf(samples: ReadonlyMap<string, readonly Sample[]>) {
  return (whom: string, seconds: number, name: string): Aim => ({
    what: `${name.replace(/-(\d+)$/, (_, pull) => `, a pull of ${Number(pull) || 0.1} s`)}, beside ${whom}, p50`,
    measured: median(runningTimes(samples.get(name)!)) / seconds,
    limit: 1.05,
    unit: "",
    digits: 2,
  });
}

function atFirstRetry({ running, reported }: Sample): boolean {
  return reported === undefined || running - reported < FIRST_RETRY_SECONDS;
}

function retries(samples: readonly Sample[]): string {
  const failed = samples.filter(({ reported }) => reported !== undefined);
  return failed.length === 0 ? "" : `${failed.filter(atFirstRetry).length} of ${failed.length}`;
}

function runningTimes(samples: readonly Sample[]): number[] {
  return samples.map(({ running }) => running);
}

/**
 * Returns median and 95th percentile of a model whose parts are drawn from the measured samples.
 */
function modelOfOriginal(oracle: readonly Sample[]): [number, number] {
  const drawn = Array.from({ length: 20_000 }, () => {
    const { running, reported = 0 } = oracle[Math.floor(Math.random() * oracle.length)]!;
    // The oracle waited from the report through the kubelet's retry to the start; the original's
    // tag falls anywhere in that span.
    return reported + ORIGINAL_PAUSE * Math.random() + 0.1 + (running - reported) * Math.random();
  });
  return [median(drawn), quantile(drawn, 0.95)];
}
