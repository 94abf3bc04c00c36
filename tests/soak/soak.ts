// A daemon at full speed against fakes: pods come and go, images are missing, and kubelet, Engine
// and mirrors fail in turn. If it holds more at the end than at the beginning, it leaks.

import { delay } from "@std/async/delay";
import { fakeImage, type RegistryState } from "../fakes/docker_engine.ts";
import type { AnswerOverride } from "../fakes/kubelet.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { permissions } from "../support/program.ts";
import type { Holding } from "./subject.ts";

/** How much the daemon is to do. */
export interface SoakOptions {
  readonly passes: number;
  readonly repairs: number;
  /** Passes between two reports of what it holds. */
  readonly every: number;
  readonly say?: (text: string) => void;
}

/** What the daemon did, and what it held: at the start, every so many passes, and after its end. */
export interface SoakReport {
  readonly seconds: number;
  readonly faults: number;
  readonly before: Holding;
  readonly during: readonly Holding[];
  readonly after: Holding;
}

/**
 * Each registry has its own mirror, so that a mirror that is cooling down does not delay others.
 */
const REGISTRIES = 24;
const IMAGES_PER_REGISTRY = 4;
/** Number of pods that wait for their image at the same time. */
const PODS_AT_ONCE = 24;
/** A pod whose mirror is cooling down is removed after this long, as a user would do. */
const PATIENCE_MS = 1000;

/** Runs a daemon until it has done that many passes and repairs. Throws if it fails. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { say = () => {} } = options;
  const started = performance.now();
  await using node = await startNode({
    engine: { registries: registries(), journalLimit: 100, stepMs: 1 },
    pods: Array.from({ length: 20 }, (_, index) => ({
      name: `steady-${index}`,
      containers: [{ name: "app", image: "r0.example/steady/app:1" }],
    })),
    images: { "r0.example/steady/app:1": fakeImage("steady") },
    config: CONFIG,
  });
  const subject = startSubject(node, options.every);
  const end = new AbortController();
  const trouble = new Troublemaker(node, end.signal);
  const held: Holding[] = [];
  try {
    const troubles = trouble.run();
    for await (const holding of subject.holdings) {
      held.push(holding);
      say(`${holding.passes} passes, ${holding.repaired} repairs, ${Math.round(holding.heap / 1000)} kB of heap`);
      if (holding.passes < options.passes || holding.repaired < options.repairs || end.signal.aborted) continue;
      end.abort();
      await troubles;
      subject.end();
    }
    await troubles;
  } finally {
    end.abort();
    subject.kill();
  }
  const [before, after] = [held[0], held.at(-1)];
  const code = await subject.code;
  if (code !== 0 || before === undefined || after === undefined) throw new Error(`the daemon ended with ${code}`);
  return {
    seconds: (performance.now() - started) / 1000,
    faults: trouble.faults,
    before,
    during: held.slice(1, -1),
    after,
  };
}

const CONFIG = `
registries:
${Array.from({ length: REGISTRIES }, (_, index) => `  r${index}.example: m${index}.example`).join("\n")}
repair: {backoff: {initial: 100ms, max: 1s}}
logging: {level: debug}
`;

function registries() {
  const images = Object.fromEntries(
    Array.from({ length: IMAGES_PER_REGISTRY }, (_, index) => [`soak/image-${index}:1`, fakeImage(`image-${index}`)]),
  );
  return Object.fromEntries(
    Array.from({ length: REGISTRIES }, (_, index) => [`m${index}.example`, { state: "up" as const, images }]),
  );
}

function startSubject(node: FakeNode, every: number) {
  // The V8 flags of the compiled program: with V8's defaults, optimized code would be growth that
  // no installed Gilly has.
  const flags = permissions().filter((flag) => flag.startsWith("--v8-flags"));
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-check", "--allow-all", ...flags.map((flag) => `${flag},--expose-gc`)],
      new URL("./subject.ts", import.meta.url).pathname,
      ...[node.configFile, `${node.dir}/state.json`, String(every)],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const signal = (name: Deno.Signal) => {
    try {
      child.kill(name);
    } catch {
      // It has ended.
    }
  };
  return {
    holdings: linesOf(child.stdout),
    code: child.status.then(async ({ code }) => {
      await child.stdin.close().catch(() => {});
      return code;
    }),
    end: () => signal("SIGTERM"),
    kill: () => signal("SIGKILL"),
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Holding> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line) as Holding;
  }
}

const KUBELET_FAULTS: readonly (() => AnswerOverride)[] = [
  () => ({ status: 500 }),
  () => ({ status: 401 }),
  () => ({ body: "<html>" }),
  () => ({ body: '{"kind":"PodList","items":[{"metadata":{"na', isBrokenOff: true }),
  () => ({ body: '{"kind":"PodList","items":[null,7,{"metadata":{"name":"half"}}]}' }),
  () => ({ after: delay(50) }),
];

const MIRROR_FAULTS: readonly RegistryState[] = [
  "down",
  "unavailable",
  "rate-limited",
  "denied",
  "torn",
  "cut",
  "error-after-progress",
  "slow",
];

const VERIFYING_MS = 100;

/** Adds pods that lack their image, removes them again, and causes faults in turn. */
class Troublemaker {
  faults = 0;
  readonly #node: FakeNode;
  readonly #signal: AbortSignal;
  #turns = 0;

  constructor(node: FakeNode, signal: AbortSignal) {
    this.#node = node;
    this.#signal = signal;
  }

  /** Runs until the signal is aborted. */
  async run(): Promise<void> {
    const places = Array.from({ length: PODS_AT_ONCE }, (_, place) => this.#bringPods(place));
    await Promise.all([...places, this.#breakThings()]);
  }

  async #bringPods(place: number): Promise<void> {
    const { kubelet, engine } = this.#node;
    while (!this.#signal.aborted) {
      const turn = this.#turns++;
      // No two places use the same image: each has its own registry.
      const number = place + PODS_AT_ONCE * (turn % IMAGES_PER_REGISTRY);
      const [registry, path] = [number % REGISTRIES, `soak/image-${Math.floor(number / REGISTRIES)}:1`];
      const image = `r${registry}.example/${path}`;
      kubelet.addPod({ name: `pod-${turn}`, containers: [{ name: "app", image }] });
      await kubelet.advance(2);
      for (const start = performance.now(); !engine.has(image) && performance.now() - start < PATIENCE_MS;) {
        if (this.#signal.aborted) return;
        await delay(2);
      }
      // Leave time to verify the tag: if the image is removed before that, the repair rightly
      // fails.
      await delay(VERIFYING_MS);
      await kubelet.advance();
      kubelet.removePod(`pod-${turn}`);
      for (const name of [image, `m${registry}.example/${path}`]) if (engine.has(name)) engine.remove(name);
    }
  }

  async #breakThings(): Promise<void> {
    for (let round = 0; !this.#signal.aborted; round++) {
      await delay(150);
      this.faults++;
      if (round % 3 === 0) {
        this.#node.kubelet.answerWith(KUBELET_FAULTS[round / 3 % KUBELET_FAULTS.length]!(), 2);
      } else if (round % 3 === 1) {
        const mirror = this.#node.engine.registries[`m${round % REGISTRIES}.example`]!;
        mirror.state = MIRROR_FAULTS[Math.floor(round / 3) % MIRROR_FAULTS.length]!;
        await delay(30);
        mirror.state = "up";
      } else await this.#breakEngine(Math.floor(round / 3));
    }
  }

  async #breakEngine(round: number): Promise<void> {
    const { engine } = this.#node;
    if (round % 8 === 0) {
      await engine.stop();
      await engine.start();
      return;
    }
    const words = ["", "no space left on device", "<html>", '{"message":'][round % 4]!;
    engine.intercept = ({ path }) => path === "/events" ? undefined : new Response(words, { status: 500 });
    await delay(30);
    engine.intercept = undefined;
  }
}
