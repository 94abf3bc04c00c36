// `proxy_inside.ts [--quick]`, in a network of its own: measures the registry proxy on a real worker
// and prints the Finding as JSON.

import { delay } from "@std/async/delay";
import { CERTS_FOLDER } from "../../lib/proxy/trust.ts";
import {
  callEngine,
  type RealEngine,
  type RealRegistry,
  removeImage,
  startEngine,
  startRegistry,
} from "../e2e/engine.ts";
import { Gilly } from "../e2e/gilly.ts";
import { isRunning } from "../e2e/pod_state.ts";
import { busyboxLayer, type Layer, putImage, randomLayer, type Registry } from "../e2e/registry_images.ts";
import { startWorker, type Worker } from "../e2e/worker.ts";
import { freePort } from "../support/ports.ts";
import { redirected } from "../support/redirect_bench.ts";
import { FailureWatch } from "./failure_watch.ts";
import { type Finding, fixed, median, quantile } from "./measurement.ts";
import { cpuSecondsOf, memoryOf } from "./process.ts";
import { followStarts, type Starts, wallClock } from "./starts.ts";

const QUICK = Deno.args.includes("--quick");
const MEGABYTE = 1_000_000;
const PODS = QUICK ? 3 : 30;
const PULLS = QUICK ? 1 : 5;
const HEADS = QUICK ? 50 : 500;
/** Layers of one image, and the megabytes of each. */
const SHAPES = QUICK
  ? [{ layers: 1, megabytes: 50 }, { layers: 5, megabytes: 10 }]
  : [{ layers: 1, megabytes: 500 }, { layers: 20, megabytes: 100 }];
/** All layers of an image at once; Docker's default is 3. */
const AT_ONCE = 20;

const say = (text: string) => console.error(`bench: proxy: ${text}`);

interface Scene {
  readonly worker: Worker;
  readonly proxy: Gilly;
  /** Host of the mirror, which speaks TLS. */
  readonly mirror: string;
  /** Where images are put for it. */
  readonly store: Registry;
}

async function withScene<Result>(use: (scene: Scene) => Promise<Result>): Promise<Result> {
  await using parts = new AsyncDisposableStack();
  const worker = await startWorker({
    startEngine: (dir, options) =>
      startEngine(dir, { args: [...options?.args ?? [], `--max-concurrent-downloads=${AT_ONCE}`] }),
  });
  parts.defer(() => worker.stop());
  const { host: mirror } = parts.adopt(await startSecureMirror(worker), (registry) => registry.stop());
  const port = freePort();
  const files = { certFile: `${worker.dir}/proxy.crt`, keyFile: `${worker.dir}/proxy.key` };
  const config = await worker.writeConfig({
    registries: { "gcr.io": mirror },
    mirrors: { [mirror]: { maxConcurrentPulls: AT_ONCE } },
    proxy: { listen: port, ...files, ledgerFile: `${worker.dir}/ledger/proxy.jsonl` },
  });
  await redirected("prepare", config);
  const proxy = parts.use(new Gilly(["proxy", "--config", config], { logFile: `${worker.dir}/proxy.log` }));
  await proxy.waitForLine(/serving gcr\.io at/);
  await redirected("up", config);
  parts.defer(async () => void await redirected("down", config));
  return await use({ worker, proxy, mirror, store: worker.mirrors[0]! });
}

/** Serves the images of the worker's mirror over TLS, with a certificate that Docker and the proxy trust. */
async function startSecureMirror({ dir, mirrors, certificates: { authority } }: Worker): Promise<RealRegistry> {
  const folder = `${dir}/secure-mirror`;
  await Deno.mkdir(folder);
  await Deno.symlink(`${mirrors[0]!.dir}/data`, `${folder}/data`);
  const registry = await startRegistry(folder, { certificate: authority.issueServer({ ipAddresses: ["127.0.0.1"] }) });
  await Deno.mkdir(`${CERTS_FOLDER}/${registry.host}`, { recursive: true });
  await Deno.writeTextFile(`${CERTS_FOLDER}/${registry.host}/ca.crt`, authority.certificatePem);
  return registry;
}

// --- pods -------------------------------------------------------------------------------------------

const KINDS = ["local", "direct", "always", "digest"] as const;
type Kind = typeof KINDS[number];

/** Seconds from a pod's manifest. */
interface Sample {
  /** To the container's start, by Docker's clock. */
  readonly started: number;
  /** To the kubelet's report that it runs. */
  readonly running: number;
}

interface Pods {
  readonly samples: Readonly<Record<Kind, Sample[]>>;
  /** Pods that the kubelet reported as failing meanwhile. */
  readonly failed: number;
}

async function measurePods({ worker, mirror, store }: Scene): Promise<Pods> {
  const base = await busyboxLayer();
  const samples: Record<Kind, Sample[]> = { local: [], direct: [], always: [], digest: [] };
  await using starts = await followStarts(worker.engine);
  await using watch = new FailureWatch(worker.kubelet);
  for (let index = 0; index < PODS; index++) {
    for (const kind of KINDS.toSorted(() => Math.random() - 0.5)) {
      const path = `pods/${kind}-${index}`;
      const digest = await putImage(store, path, "1", [base, await randomLayer(10_000)]);
      if (kind === "local") await pull(worker.engine, `gcr.io/${path}`, "1");
      const registry = kind === "direct" ? mirror : "gcr.io";
      const image = kind === "digest" ? `${registry}/${path}@${digest}` : `${registry}/${path}:1`;
      samples[kind].push(await timePod(worker, starts, `${kind}-${index}`, image, kind === "always"));
    }
    say(`pods ${index + 1} of ${PODS}`);
  }
  return { samples, failed: watch.reportedAfter.size };
}

async function timePod(worker: Worker, starts: Starts, name: string, image: string, always: boolean): Promise<Sample> {
  const container = { name: "app", image, ...(always && { imagePullPolicy: "Always" }) };
  const fullName = `${name}-${worker.kubelet.nodeName}`;
  await worker.addPod({ name, containers: [container] });
  const created = wallClock();
  const [started, running] = await Promise.all([starts.container(fullName), reportedRunning(worker, fullName)]);
  await worker.removePod(name);
  return { started: (started - created) / 1000, running: (running - created) / 1000 };
}

async function reportedRunning({ kubelet }: Worker, fullName: string): Promise<number> {
  for (const giveUp = AbortSignal.timeout(120_000);;) {
    const pod = (await kubelet.pods()).find(({ metadata }) => metadata?.name === fullName);
    if (pod !== undefined && isRunning(pod)) return wallClock();
    giveUp.throwIfAborted();
    await delay(20);
  }
}

// --- pulls ------------------------------------------------------------------------------------------

interface Shape {
  readonly layers: number;
  readonly megabytes: number;
}

interface Pulls {
  readonly shape: Shape;
  readonly direct: readonly number[];
  readonly through: readonly number[];
  /** CPU seconds of the proxy for each gigabyte. */
  readonly cpuPerGigabyte: number;
  /** Megabytes, the largest seen. */
  readonly anonymous: number;
}

async function measurePulls({ worker, proxy, mirror, store }: Scene, shape: Shape): Promise<Pulls> {
  const path = `big/${shape.layers}x${shape.megabytes}`;
  say(`making ${path}`);
  const layers: Layer[] = [];
  for (let index = 0; index < shape.layers; index++) layers.push(await randomLayer(shape.megabytes * MEGABYTE));
  await putImage(store, path, "1", layers);
  const bytes = layers.reduce((sum, layer) => sum + layer.bytes.byteLength, 0);
  layers.length = 0;
  const direct: number[] = [];
  const through: number[] = [];
  let cpu = 0;
  let anonymous = 0;
  for (let run = 0; run < PULLS; run++) {
    for (const way of run % 2 === 0 ? ["direct", "through"] : ["through", "direct"]) {
      const name = `${way === "direct" ? mirror : "gcr.io"}/${path}`;
      const before = await cpuSecondsOf(proxy.pid);
      const watching = new AbortController();
      const largest = largestAnonymous(proxy.pid, watching.signal);
      const start = performance.now();
      await pull(worker.engine, name, "1");
      const seconds = (performance.now() - start) / 1000;
      watching.abort();
      anonymous = Math.max(anonymous, await largest / MEGABYTE);
      (way === "direct" ? direct : through).push(seconds);
      if (way === "through") cpu += await cpuSecondsOf(proxy.pid) - before;
      say(`${path}, ${way}: ${fixed(seconds, 1)} s`);
      await removeImage(worker.engine, `${name}:1`);
    }
  }
  return { shape, direct, through, cpuPerGigabyte: cpu / PULLS / (bytes / 1e9), anonymous };
}

async function largestAnonymous(pid: number, signal: AbortSignal): Promise<number> {
  let largest = 0;
  while (!signal.aborted) {
    largest = Math.max(largest, (await memoryOf(pid)).anonymous);
    await delay(50);
  }
  return largest;
}

async function pull(engine: RealEngine, name: string, tag: string): Promise<void> {
  // Docker reads a changed /etc/hosts 5 s after its last look.
  for (const giveUp = AbortSignal.timeout(15_000);;) {
    const answer = await callEngine(engine, "POST", `/images/create?${new URLSearchParams({ fromImage: name, tag })}`)
      .catch(String);
    if (answer.includes("Status: Downloaded")) return;
    if (!answer.includes("lookup gcr.io") || giveUp.aborted) throw new Error(`${name}: ${answer.slice(-500)}`);
    await delay(200);
  }
}

// --- digests -----------------------------------------------------------------------------------------

interface Heads {
  /** Milliseconds. */
  readonly direct: number[];
  readonly through: number[];
}

/** Docker asks for the digest of a tag as before a pull with Always: over a new connection, by HEAD. */
async function measureHeads({ worker: { engine }, mirror, store }: Scene): Promise<Heads> {
  await putImage(store, "heads/app", "1", [await randomLayer(1000)]);
  const heads: Heads = { direct: [], through: [] };
  const timed = async (host: string) => {
    const start = performance.now();
    await callEngine(engine, "GET", `/distribution/${host}/heads/app:1/json`);
    return performance.now() - start;
  };
  for (let index = 0; index < HEADS; index++) {
    heads.direct.push(await timed(mirror));
    heads.through.push(await timed("gcr.io"));
  }
  return heads;
}

// --- the finding --------------------------------------------------------------------------------------

function ratioOf({ direct, through }: Pulls): number {
  return median(through.map((seconds, index) => seconds / direct[index]!));
}

const POD_TEXTS: Readonly<Record<Kind, string>> = {
  local: "a pod whose image is local",
  direct: "an image of the mirror's own name, absent",
  always: "Always, image absent",
  digest: "a digest, image absent",
};
const EVENT_TEXTS: Readonly<Record<keyof Sample, string>> = { started: "its start", running: "Running" };

function findingOf(idle: number, pods: Pods, heads: Heads, pulls: readonly Pulls[]): Finding {
  const p95 = (samples: readonly number[]) => quantile(samples, 0.95);
  const secondsTo = (event: keyof Sample, kind: Kind) => pods.samples[kind].map((sample) => sample[event]);
  const besideLocal = (event: keyof Sample, kind: Kind) => p95(secondsTo(event, kind)) / p95(secondsTo(event, "local"));
  const besideDirect = (kind: Kind) => p95(secondsTo("running", kind)) / p95(secondsTo("running", "direct"));
  const podRow = (event: keyof Sample, kind: Kind) => [
    `${POD_TEXTS[kind]}, to ${EVENT_TEXTS[event]}`,
    fixed(median(secondsTo(event, kind)), 2),
    fixed(p95(secondsTo(event, kind)), 2),
    kind === "local" ? "" : fixed(besideLocal(event, kind), 2),
  ];
  const shapeText = ({ layers, megabytes }: Shape) =>
    layers === 1 ? `a layer of ${megabytes} MB` : `${layers} layers of ${megabytes} MB`;
  const pullRows = pulls.flatMap(({ shape, direct, through, ...rest }) => [
    [`docker pull of ${shapeText(shape)}, from the mirror`, fixed(median(direct), 2), fixed(p95(direct), 2), ""],
    [
      "the same through the proxy",
      fixed(median(through), 2),
      fixed(p95(through), 2),
      fixed(ratioOf({ shape, direct, through, ...rest }), 2),
    ],
  ]);
  const limits = [1.25, 1.15];
  return {
    method:
      `The compiled proxy, Docker and the kubelet of a real worker, led there by the redirect; the mirror speaks TLS, as ` +
      `the proxy does. ${PODS} pods of each kind, one after another in random order, each with an image ` +
      `of its own; ${PULLS} pulls of each kind, in turns, up to ${AT_ONCE} layers at once; ${HEADS} questions for a digest. The ` +
      `ratio is of p95 for pods, and of medians of pairs for pulls.`,
    headings: ["seconds", "p50", "p95", "ratio"],
    rows: [
      ...(["started", "running"] as const).flatMap((event) => KINDS.map((kind) => podRow(event, kind))),
      ...pullRows,
      [
        "Docker asks for a digest, of the mirror",
        fixed(median(heads.direct) / 1000, 4),
        fixed(p95(heads.direct) / 1000, 4),
        "",
      ],
      ["the same through the proxy", fixed(median(heads.through) / 1000, 4), fixed(p95(heads.through) / 1000, 4), ""],
    ],
    aims: [
      {
        what: "Always, to Running, p95 beside local",
        measured: besideLocal("running", "always"),
        limit: 1.1,
        unit: "",
        digits: 2,
      },
      {
        what: "a digest, to Running, p95 beside local",
        measured: besideLocal("running", "digest"),
        limit: 1.1,
        unit: "",
        digits: 2,
      },
      { what: "pods seen with ErrImagePull", measured: pods.failed, limit: 0, unit: "" },
      ...pulls.map((it, index) => (
        { what: `pull of ${shapeText(it.shape)}`, measured: ratioOf(it), limit: limits[index]!, unit: "", digits: 2 }
      )),
      {
        what: "a digest, p95, more than directly",
        measured: p95(heads.through) - p95(heads.direct),
        limit: 5,
        unit: " ms",
        digits: 1,
      },
      ...pulls.map(({ shape, cpuPerGigabyte }) => (
        { what: `CPU for ${shapeText(shape)}`, measured: cpuPerGigabyte, limit: 2, unit: " s/GB", digits: 2 }
      )),
      {
        what: "anonymous memory, the most",
        measured: Math.max(...pulls.map((it) => it.anonymous)),
        limit: 64,
        unit: " MB",
      },
      { what: "anonymous memory, idle", measured: idle, limit: 20, unit: " MB", digits: 1 },
    ],
    notes: [
      "The start is Docker's own time; Running is what the kubelet reports, which looks at its containers every second. " +
      "A pod that pulls an image of the mirror's own name, without the proxy, is the least that a pull can take: beside it, " +
      `p95 to Running is ${fixed(besideDirect("always"), 2)} with Always and ${
        fixed(besideDirect("digest"), 2)
      } with a digest.`,
    ],
  };
}

console.log(JSON.stringify(
  await withScene(async (scene) => {
    await delay(QUICK ? 2000 : 15_000);
    const idle = (await memoryOf(scene.proxy.pid)).anonymous / MEGABYTE;
    const pods = await measurePods(scene);
    const heads = await measureHeads(scene);
    const pulls: Pulls[] = [];
    for (const shape of SHAPES) pulls.push(await measurePulls(scene, shape));
    return findingOf(idle, pods, heads, pulls);
  }),
));
