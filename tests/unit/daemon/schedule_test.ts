import { assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import { type PassResult, PassSchedule, type Urgency } from "../../../lib/daemon/schedule.ts";

const POLL = { intervalSeconds: 5, safetySeconds: 60, jitter: 0 };
const QUIET: PassResult = { creating: false, failed: false };
const CREATING: PassResult = { ...QUIET, creating: true };
const MIDDLE = 0.5;

/** Runs a pass whenever one is due; returns their times since `start`. Times are milliseconds. */
function play(
  options: {
    hints?: number[];
    urgency?: Urgency;
    result?: PassResult;
    listening?: boolean;
    start?: number;
    end: number;
  },
) {
  const { hints = [], urgency = "urgent", result = QUIET, listening = true, start = 0, end } = options;
  const schedule = new PassSchedule();
  const passes: number[] = [];
  schedule.passed(start, result, POLL, listening, MIDDLE);
  let now = start;
  while (now < end) {
    const hint = hints.find((time) => time > now) ?? Infinity;
    now = Math.min(Math.max(now, schedule.dueAt()), hint, end);
    if (now === hint) schedule.hint(now, urgency);
    if (now >= end || now < schedule.dueAt()) continue;
    passes.push(now - start);
    schedule.passed(now, result, POLL, listening, MIDDLE);
  }
  return passes;
}

Deno.test("the first pass is due at once", () => {
  assertLessOrEqual(new PassSchedule().dueAt(), 0);
});

Deno.test("without events, passes follow the poll interval", () => {
  assertEquals(play({ listening: false, end: 21_000 }), [5000, 10_000, 15_000, 20_000]);
});

Deno.test("while events arrive, a quiet node gets a pass once a minute", () => {
  assertEquals(play({ end: 130_000 }), [60_000, 120_000]);
});

Deno.test("a kubelet that returned no pods is queried at the poll interval, even while events arrive", () => {
  assertEquals(play({ result: { ...QUIET, failed: true }, end: 11_000 }), [5000, 10_000]);
});

Deno.test("an event triggers a pass at once, and a burst of passes follows", () => {
  const passes = play({ hints: [10_000], end: 14_000 });
  assertEquals(passes[0], 10_000);
  assertEquals(passes[1], 10_200);
  assertGreaterOrEqual(passes.length, 8);
});

Deno.test("after the burst, a node on which nothing is about to start is quiet again", () => {
  const passes = play({ hints: [10_000], end: 60_000 });
  assertEquals(passes.filter((at) => at > 14_000), []);
});

Deno.test("while a container is about to start, a failure is found within a sixth of the time since the event", () => {
  const passes = play({ hints: [1000], result: CREATING, end: 40_000 });
  for (const [index, at] of passes.entries()) {
    const next = passes[index + 1];
    if (next === undefined || at < 1000) continue;
    assertLessOrEqual(next - at, Math.max(200, (next - 1000) / 6));
  }
});

Deno.test("a container that never starts costs no more than the poll interval", () => {
  const passes = play({ hints: [1000], result: CREATING, end: 600_000 }).filter((at) => at > 300_000);
  assertEquals(new Set(passes.slice(1).map((at, index) => Math.round(at - passes[index]!))), new Set([5000]));
});

Deno.test("a hundred pods that start within five seconds cost a handful of passes", () => {
  const hints = Array.from({ length: 100 }, (_, index) => 1000 + index * 50);
  const passes = play({ hints, result: CREATING, end: 6000 });
  assertLessOrEqual(passes.length, 10);
  assertEquals(passes[0], 1000);
});

Deno.test("pods that start a second apart each get a pass at once", () => {
  const hints = Array.from({ length: 30 }, (_, index) => 10_000 + 1000 * index);
  const passes = play({ hints, result: CREATING, end: 50_000 });
  assertEquals(hints.filter((hint) => !passes.includes(hint)), []);
});

Deno.test("containers that end within a short time share one pass", () => {
  const passes = play({ hints: [10_000, 10_100, 10_200], urgency: "lazy", end: 30_000 });
  assertEquals(passes, [10_300]);
});

Deno.test("a container that is about to be restarted is followed like a new one", () => {
  const passes = play({ hints: [600_000], urgency: "lazy", result: CREATING, end: 601_000 });
  assertEquals(passes.filter((at) => at > 600_000), [600_300, 600_500, 600_700, 600_900]);
});

Deno.test("a retry comes at its time, but never in a tight loop", () => {
  const schedule = new PassSchedule();
  schedule.passed(1000, QUIET, POLL, true, MIDDLE);
  assertEquals(schedule.dueAt(11_000), 11_000);
  schedule.passed(11_000, QUIET, POLL, true, MIDDLE);
  assertEquals(schedule.dueAt(11_000), 11_500);
});

Deno.test("an image whose repair ends long after the pass is retried at its time, not at the safety poll", () => {
  const schedule = new PassSchedule();
  schedule.passed(1000, QUIET, POLL, true, MIDDLE);
  assertEquals(schedule.dueAt(), 61_000);
  assertEquals(schedule.dueAt(17_000), 17_000);
});

Deno.test("while the kubelet returns no pods, nothing is retried before the next poll", () => {
  const schedule = new PassSchedule();
  schedule.passed(1000, { ...QUIET, failed: true }, POLL, true, MIDDLE);
  assertEquals(schedule.dueAt(1500), 6000);
});

Deno.test("the jitter spreads the polls by its share in both directions", () => {
  const due = (random: number) => {
    const schedule = new PassSchedule();
    schedule.passed(0, QUIET, { ...POLL, jitter: 0.1 }, false, random);
    return Math.round(schedule.dueAt());
  };
  assertEquals([due(0), due(0.5), due(1)], [4500, 5000, 5500]);
});
