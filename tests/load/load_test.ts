// Many failures at once: the compiled program against fakes that count its requests.

import { assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import { Gilly } from "../e2e/gilly.ts";
import { type EngineCall, type FakeDockerEngine, type FakeImage, fakeImage } from "../fakes/docker_engine.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { scenario } from "../scenarios/scenario.ts";
import { missingForProgram } from "../support/requirements.ts";

const standIn = (what: string, holds: string) => ({ subject: "node", what, means: "stand-in" as const, holds });
const missing = missingForProgram();

/**
 * Defaults of the config and of lib/app.ts for concurrent calls: pulls in all, pulls per mirror,
 * other image calls, and resolves at registries.
 */
const LIMITS = { pulls: 8, pullsPerMirror: 4, calls: 16, resolves: 48 };
const MEGABYTE = 1024 * 1024;
/** A third of the unit's MemoryMax. */
const MEMORY = 256 * MEGABYTE;

scenario(
  standIn(
    "300 distinct broken images in 150 pods at once",
    "4 pulls per mirror, 8 in all, 16 other calls at once; 8 lines per image; 160 MB",
  ),
  async () => {
    const names = Array.from({ length: 300 }, (_, index) => `acme/app-${index}:1`);
    const origins = ["gcr.io", "quay.io", "k8s.gcr.io"];
    const originOf = (index: number) => `${origins[index % 3]}/${names[index]}`;
    const images = Object.fromEntries(names.map((name) => [name, fakeImage(name, [1000])]));
    const pods = Array.from({ length: 150 }, (_, index) => ({
      name: `pod-${index}`,
      containers: [2 * index, 2 * index + 1].map((each) => ({ name: `c-${each}`, image: originOf(each) })),
    }));
    await using node = await startNode({
      pods,
      engine: {
        registries: Object.fromEntries(origins.map((_, index) => [`m-${index}.example`, { state: "up", images }])),
      },
      config: "registries: {gcr.io: m-0.example, quay.io: m-1.example, k8s.gcr.io: m-2.example}\n",
    });
    const watch = new Watch(node.engine);
    await using gilly = new Gilly(["run", "--config", node.configFile]);
    await gilly.waitForLine(/repaired .*\/acme\/app-299:1/);
    await untilRepaired(gilly, 300);
    assertEquals(names.filter((name, index) => node.engine.idOf(originOf(index)) !== images[name]!.id), []);
    await node.kubelet.advance();
    assertEquals(node.kubelet.containers().filter(({ state }) => state !== "Running"), []);
    assertLessOrEqual(node.engine.mostPulling, LIMITS.pulls);
    assertLessOrEqual(watch.most("pullsPerMirror"), LIMITS.pullsPerMirror);
    assertLessOrEqual(watch.most("calls"), LIMITS.calls);
    assertLessOrEqual(watch.most("resolves"), LIMITS.resolves);
    assertEquals(node.engine.pulls().length, 300);
    assertLess(gilly.journal.length, 8 * 300 + 20);
    assertLess(await peakMemory(gilly), 160 * MEGABYTE);
    assertEquals(node.engine.unexpected, []);
  },
  missing,
);

scenario(
  standIn(
    "10,000 pods of which 1 is broken",
    "repaired, 20 lines, one pull, 256 MB (a third of the unit's MemoryMax) over 8 passes",
  ),
  async () => {
    const good = fakeImage("good", [1000]);
    await using node = await nodeOf(["good"], { good });
    const broken = { name: "broken", image: "gcr.io/acme/good:1" };
    const items = [...Array.from({ length: 9999 }, (_, index) => podBody(index)), podBody(9999, broken)];
    node.kubelet.answerWith({ body: JSON.stringify({ kind: "PodList", apiVersion: "v1", items }) });
    await using gilly = new Gilly(["run", "--config", node.configFile]);
    await gilly.waitForLine(/repaired gcr\.io\/acme\/good:1 for default\/broken/);
    await node.kubelet.waitForRequest(8);
    assertEquals(node.engine.idOf("gcr.io/acme/good:1"), good.id);
    assertEquals(node.engine.pulls(), ["m.example/acme/good:1"]);
    assertLess(gilly.journal.length, 20);
    assertLess(await peakMemory(gilly), MEMORY);
  },
  missing,
);

scenario(
  standIn(
    "50 images of which 49 are not in the mirror, while all but one of its pulls hang",
    "the last one is pulled before most of them; 48 looks at once; 7 lines an image",
  ),
  async () => {
    const names = [...Array.from({ length: 49 }, (_, index) => `bad-${index}`), "good"];
    const good = fakeImage("good", [1000]);
    await using node = await nodeOf(names, { good });
    const { engine } = node;
    const watch = new Watch(engine);
    const first: EngineCall[] = [];
    const isFirst = (call: EngineCall) => {
      if (call.path === "/images/create" && first.length < LIMITS.pullsPerMirror) first.push(call);
      return first.includes(call);
    };
    const all = engine.gates.hold("before", (call) => isFirst(call) && call !== first[0]);
    const one = engine.gates.hold("before", (call) => call === first[0]);
    await using gilly = new Gilly(["run", "--config", node.configFile]);
    // Every image in the queue has been looked for, and those that are missing have let others go first.
    const looks = () => engine.journal.filter((call) => kindOf(call)[0] === "resolves" && call.ended === "complete");
    await engine.waitFor(() => looks().length === names.length - LIMITS.pullsPerMirror);
    one.release();
    await gilly.waitForLine(/repaired gcr\.io\/acme\/good:1/);
    assertEquals(engine.idOf("gcr.io/acme/good:1"), good.id);
    assertLess(engine.pulls().indexOf("m.example/acme/good:1"), 10);
    all.release();
    for (const name of names.slice(0, -1)) {
      await gilly.waitForLine(new RegExp(`cannot repair gcr\\.io/acme/${name}:1 `));
    }
    assertLessOrEqual(watch.most("resolves"), LIMITS.resolves);
    assertLess(gilly.journal.length, 7 * names.length + 20);
  },
  missing,
);

/** Starts a node with a pod for each name; the mirror has only the given images. */
function nodeOf(names: readonly string[], images: Readonly<Record<string, FakeImage>>): Promise<FakeNode> {
  const served = Object.fromEntries(Object.entries(images).map(([name, image]) => [`acme/${name}:1`, image]));
  return startNode({
    pods: names.map((name) => ({ name, containers: [{ name: "app", image: `gcr.io/acme/${name}:1` }] })),
    engine: { registries: { "m.example": { state: "up", images: served } } },
    config: "registries: {gcr.io: m.example}\npoll: {interval: 1s, safety: 1s}\n",
  });
}

type Kind = "calls" | "resolves" | "pullsPerMirror";

/** Counts concurrent calls to the Engine. */
class Watch {
  readonly #now = new Map<string, number>();
  readonly #most = new Map<Kind, number>();

  constructor(engine: FakeDockerEngine) {
    engine.watch = (call, ended) => {
      const [kind, key] = kindOf(call);
      if (kind === undefined) return Promise.resolve();
      const count = (this.#now.get(key) ?? 0) + 1;
      this.#now.set(key, count);
      this.#most.set(kind, Math.max(count, this.#most.get(kind) ?? 0));
      void ended.then(() => this.#now.set(key, this.#now.get(key)! - 1));
      return Promise.resolve();
    };
  }

  /** Returns the highest number of such calls that ran at once. */
  most(kind: Kind): number {
    return this.#most.get(kind) ?? 0;
  }
}

/** Returns the kind of a call, and the key under which it is counted. */
function kindOf({ path, query }: EngineCall): readonly [Kind, string] | readonly [undefined, ""] {
  if (path.startsWith("/distribution/")) return ["resolves", "resolves"];
  if (path === "/images/create") return ["pullsPerMirror", query.fromImage?.split("/")[0] ?? ""];
  return path.startsWith("/images/") ? ["calls", "calls"] : [undefined, ""];
}

async function untilRepaired(gilly: Gilly, count: number): Promise<void> {
  const done = () => gilly.journal.filter((line) => /\[Repair\] +repaired /.test(line)).length;
  while (done() < count) await gilly.nextLine();
}

/** Returns the peak resident memory of the process, in bytes. */
async function peakMemory({ pid }: Gilly): Promise<number> {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(await Deno.readTextFile(`/proc/${pid}/status`))?.[1];
  return 1024 * Number(kilobytes);
}

/** Returns a typical pod of about 2 kB; it runs unless it is `broken`. */
function podBody(index: number, broken?: { name: string; image: string }): unknown {
  const { name, image } = broken ?? { name: `pod-${index}`, image: `gcr.io/acme/app-${index}:1` };
  const waiting = { reason: "ImagePullBackOff", message: `Back-off pulling image "${image}"` };
  return {
    metadata: { name, namespace: "default", uid: `uid-${index}`, annotations: { note: "x".repeat(1500) } },
    spec: { containers: [{ name: "app", image, imagePullPolicy: "IfNotPresent" }] },
    status: {
      phase: broken ? "Pending" : "Running",
      containerStatuses: [{ name: "app", image, state: broken ? { waiting } : { running: {} } }],
    },
  };
}
