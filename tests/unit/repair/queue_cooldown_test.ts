// How images at one mirror share it while some of them fail: ten minutes of repairs and their
// retries, by a clock that the test moves.

import { assert, assertEquals } from "@std/assert";
import { Cooldowns } from "../../../lib/mirrors/cooldown.ts";
import { MirrorPool } from "../../../lib/mirrors/pool.ts";
import { RetrySchedule } from "../../../lib/plan/retries.ts";
import { Repairs } from "../../../lib/repair/queue.ts";
import { RuntimeError, type RuntimeErrorKind } from "../../../lib/runtime/errors.ts";
import type { PulledImage, PullOptions, ResolveOptions } from "../../../lib/runtime/runtime.ts";
import { repairOf } from "../../fakes/repairs.ts";
import { image, MemoryRuntime } from "../../fakes/runtime.ts";

const TICK_MS = 100;
const TEN_MINUTES = 600_000;
/** How long the mirror takes to answer. */
const ANSWER_MS = 200;

/** An answer of the mirror that is a failure. */
interface Answer {
  readonly kind: RuntimeErrorKind;
  readonly retryAfterSeconds?: number;
}

const ANSWERS: Readonly<Record<string, Answer>> = {
  "500": { kind: "registry-error" },
  "502 with Retry-After": { kind: "registry-error", retryAfterSeconds: 30 },
  "429": { kind: "rate-limited" },
  "429 with Retry-After": { kind: "rate-limited", retryAfterSeconds: 77 },
  "a web page": { kind: "not-a-registry" },
};

/** A runtime that asks one mirror, which answers some images with failures. */
class SlowRuntime extends MemoryRuntime {
  /** When which image was asked for: the seconds, and the path and tag. */
  readonly asked: { readonly at: number; readonly name: string }[] = [];
  readonly #failing = new Map<string, Answer>();
  readonly #time: Time;

  constructor(time: Time) {
    super();
    this.#time = time;
  }

  /** Makes the mirror answer requests for this image with a failure, or deliver it. */
  answer(name: string, answer: Answer | undefined): void {
    if (answer === undefined) this.#failing.delete(name);
    else this.#failing.set(name, answer);
  }

  override async pull(reference: string, options: PullOptions): Promise<PulledImage> {
    await this.#ask(reference);
    this.pulls[reference] = { image: image(reference) };
    return await super.pull(reference, options);
  }

  override async resolve(reference: string, _options: ResolveOptions) {
    await this.#ask(reference);
    return { digest: `sha256:${"ab".repeat(32)}` };
  }

  async #ask(reference: string): Promise<void> {
    const name = reference.slice(reference.indexOf("/") + 1);
    this.asked.push({ at: this.#time.now, name });
    await this.#time.pass(ANSWER_MS);
    const failing = this.#failing.get(name);
    if (failing !== undefined) throw new RuntimeError(failing.kind, `pull ${reference}`, failing);
  }
}

/** A clock that stands still until it is moved, and what waits for it. */
class Time {
  now = 0;
  readonly #waiting: { readonly until: number; readonly go: () => void }[] = [];

  pass(ms: number): Promise<void> {
    return new Promise((go) => void this.#waiting.push({ until: this.now + ms, go }));
  }

  /** Moves the clock by one tick, and lets everything happen that was waiting for it. */
  async tick(): Promise<void> {
    await this.#settled();
    this.now += TICK_MS;
    for (const one of this.#waiting.filter(({ until }) => until <= this.now)) {
      this.#waiting.splice(this.#waiting.indexOf(one), 1);
      one.go();
    }
    await this.#settled();
  }

  /** Lets everything happen that waits for no time to pass. */
  async #settled(): Promise<void> {
    for (let turn = 0; turn < 100; turn++) await Promise.resolve();
  }
}

/** A node whose images are at `location`; `wanted` are those that pods wait for. */
function openNode(location: string) {
  const time = new Time();
  const clock = { now: () => time.now, wallTime: () => time.now };
  // Scattered, and the same in each run.
  let seed = 1;
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const runtime = new SlowRuntime(time);
  const retries = new RetrySchedule({ initialSeconds: 10, maxSeconds: 300 });
  const mirrors = new MirrorPool({
    settings: {},
    concurrency: 8,
    cooldowns: new Cooldowns(),
    clock,
    random,
    observer: {},
    recovered: (mirror) => retries.hasten(mirror, time.now),
  });
  const repairs = new Repairs({ observer: {}, clock, random, signal: new AbortController().signal });
  const wanted = new Set<string>();
  const path = location.includes("/") ? `${location.slice(location.indexOf("/") + 1)}/` : "";
  const node = { runtime, mirrors, veto: () => undefined };
  return {
    runtime,
    time,
    wanted,
    nameOf: (image: string) => `${path}${image}`,
    /** Starts what is due, as each pass does, and moves the clock. */
    async pass(): Promise<void> {
      for (const name of wanted) {
        const repair = repairOf(`gcr.io/${name}`, [location]);
        const record = retries.get(repair.name);
        if (record?.last.result === "repaired") wanted.delete(name);
        else if (record === undefined || time.now >= record.nextTryAt) repairs.start(repair, node, retries);
      }
      await time.tick();
    },
  };
}

type Node = ReturnType<typeof openNode>;

/** Runs passes until `end`, with one more image that the mirror has every twenty seconds; returns their delays. */
async function withGoodImages({ runtime, time, wanted, nameOf, pass }: Node, end: number): Promise<number[]> {
  const detected = new Map<string, number>();
  while (time.now < end) {
    if (time.now % 20_000 === 0) {
      const name = `good-${time.now / 20_000}:1`;
      detected.set(nameOf(name), time.now);
      wanted.add(name);
    }
    await pass();
  }
  return [...detected].map(([name, at]) => runtime.asked.find((it) => it.name === name)!.at - at);
}

/** Makes pods wait for fifty images, all of which the mirror answers so. */
function storm({ runtime, wanted, nameOf }: Node, answer: Answer): void {
  for (let count = 0; count < 50; count++) {
    runtime.answer(nameOf(`app-${count}:1`), answer);
    wanted.add(`app-${count}:1`);
  }
}

for (const location of ["m.example", "m.example/quay"]) {
  for (const [what, answer] of Object.entries(ANSWERS)) {
    Deno.test(`an image that ${location} answers with ${what} for ten minutes delays no other`, async () => {
      const node = openNode(location);
      node.runtime.answer(node.nameOf("bad:1"), answer);
      node.wanted.add("bad:1");
      const delays = await withGoodImages(node, TEN_MINUTES);
      assertEquals(delays, Array(30).fill(0));
      const asks = node.runtime.asked.filter(({ name }) => name === node.nameOf("bad:1")).length;
      assert(asks >= 3 && asks <= 8, `the bad image was asked for ${asks} times`);
    });
  }
}

const STORMS = [["m.example/quay", "500"], ...Object.keys(ANSWERS).map((what) => ["m.example", what])] as const;

for (const [location = "", what = ""] of STORMS) {
  Deno.test(`a mirror that answers fifty images at ${location} with ${what} is asked a few times`, async () => {
    const node = openNode(location);
    const { runtime: { asked }, time, pass } = node;
    storm(node, ANSWERS[what]!);
    while (time.now < TEN_MINUTES) await pass();
    // Four pulls and four probes begin at once.
    const inFirstMinute = asked.filter(({ at }) => at < 60_000).length;
    assert(inFirstMinute >= 8 && inFirstMinute <= 12, `asked ${inFirstMinute} times in the first minute`);
    assert(asked.length <= 30, `asked ${asked.length} times in ten minutes`);
  });
}

Deno.test("five images that fail for ten minutes hold others up at first, for seconds", async () => {
  const node = openNode("m.example");
  for (const name of ["bad-1:1", "bad-2:1", "bad-3:1", "bad-4:1", "bad-5:1"]) {
    node.runtime.answer(name, ANSWERS["500"]!);
    node.wanted.add(name);
  }
  const delays = await withGoodImages(node, TEN_MINUTES);
  const delayed = delays.filter((delay) => delay > 0);
  assert(delayed.length <= 5 && Math.max(...delayed) <= 20_000, `held up for ${delays} ms`);
});

/** The longest cool-down of a mirror in seconds, jitter included, and a few more to pull fifty images. */
const BACK_WITHIN = { "registry-error": 36 + 10, "registry-down": 144 + 10 } as const;

for (const kind of ["registry-error", "registry-down"] as const) {
  Deno.test(`after ten minutes of ${kind} everything is repaired soon after the mirror is back`, async () => {
    const node = openNode("m.example");
    const { runtime, time, wanted, nameOf, pass } = node;
    storm(node, { kind });
    while (time.now < TEN_MINUTES) await pass();
    assertEquals(wanted.size, 50);
    for (const name of wanted) runtime.answer(nameOf(name), undefined);
    while (wanted.size > 0 && time.now < 2 * TEN_MINUTES) await pass();
    const seconds = (time.now - TEN_MINUTES) / 1000;
    assert(seconds <= BACK_WITHIN[kind], `repaired ${seconds} s after the mirror was back`);
  });
}

Deno.test("a mirror that is down is tried by one pull at a time", async () => {
  const node = openNode("m.example");
  const { runtime: { asked }, time, pass } = node;
  storm(node, { kind: "registry-down" });
  while (time.now < TEN_MINUTES) await pass();
  const later = asked.map(({ at }) => at).filter((at) => at > 0);
  assertEquals(new Set(later).size, later.length);
  assert(later.length >= 5 && later.length <= 9, `asked at ${later}`);
});
