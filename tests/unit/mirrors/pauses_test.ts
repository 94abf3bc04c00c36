// Tests lib/mirrors/pauses.ts: how long something that failed is avoided.

import { assert, assertEquals } from "@std/assert";
import { type Pause, Pauses } from "../../../lib/mirrors/pauses.ts";

const NOW = 1_589_591_513_000;
const MIRROR = "mirror.example:5000";

function secondsOf(pause: Pause, now = NOW): number {
  return (pause.until - now) / 1000;
}

function start(
  pauses: Pauses,
  key: string,
  because: string,
  now: number,
  random: number,
  askedSeconds?: number,
): Pause {
  return pauses.start(key, { because, now, random, longestSeconds: 120, askedSeconds });
}

/** The lengths of pauses in seconds; each starts when the previous one is over. */
function lengths(times: number, random = 0, askedSeconds?: number): number[] {
  const pauses = new Pauses();
  let now = NOW;
  return Array.from({ length: times }, () => {
    const pause = start(pauses, MIRROR, "down", now, random, askedSeconds);
    const seconds = secondsOf(pause, now);
    now = pause.until;
    return seconds;
  });
}

Deno.test("each failure doubles the pause, up to two minutes", () => {
  assertEquals(lengths(7), [5, 10, 20, 40, 80, 120, 120]);
});

Deno.test("a thousand consecutive failures still give the longest pause", () => {
  assertEquals(lengths(1000).at(-1), 120);
});

Deno.test("jitter lengthens a pause by at most a fifth and never shortens it", () => {
  const longest = lengths(7, 1 - Number.EPSILON);
  for (const [index, shortest] of lengths(7).entries()) {
    const long = longest[index]!;
    assert(long > shortest && long <= shortest * 1.2001, `${shortest} s became ${long} s`);
  }
});

Deno.test("pulls that fail during a pause are one failure", () => {
  const pauses = new Pauses();
  const first = start(pauses, MIRROR, "refused", NOW, 0);
  for (let count = 0; count < 9; count++) {
    assertEquals(start(pauses, MIRROR, "refused too", NOW + 10, 0.9), first);
  }
  assertEquals(start(pauses, MIRROR, "refused", first.until, 0).failures, 2);
});

/** The Retry-After of the mirror, and its first pause, in seconds. */
const ASKED: readonly (readonly [number | undefined, number])[] = [
  [undefined, 5],
  [0, 5],
  [1, 5],
  [-30, 5],
  [5.5, 5.5],
  [60, 60],
  [600, 600],
  [601, 600],
  [86_400, 600],
  [Infinity, 600],
];

for (const [asked, seconds] of ASKED) {
  Deno.test(`a Retry-After of ${asked} s gives a first pause of ${seconds} s`, () => {
    assertEquals(lengths(1, 0, asked), [seconds]);
  });
}

Deno.test("a short Retry-After does not shorten a longer pause", () => {
  assertEquals(lengths(6, 0, 1), [5, 10, 20, 40, 80, 120]);
});

Deno.test("jitter does not lengthen a pause that the mirror requested", () => {
  assertEquals(lengths(1, 0.99, 60), [60]);
});

Deno.test("a Retry-After during a pause lengthens it, and does not count as another failure", () => {
  const pauses = new Pauses();
  start(pauses, MIRROR, "refused", NOW, 0);
  const pause = start(pauses, MIRROR, "too many requests", NOW + 1000, 0, 60);
  assertEquals([secondsOf(pause), pause.failures], [61, 1]);
  assertEquals(pauses.get(MIRROR), pause);
});

Deno.test("a Retry-After during a longer pause does not shorten it", () => {
  const pauses = new Pauses();
  start(pauses, MIRROR, "too many requests", NOW, 0, 600);
  const pause = start(pauses, MIRROR, "too many requests", NOW + 1000, 0, 1);
  assertEquals([secondsOf(pause), pause.failures], [600, 1]);
});

Deno.test("an ended pause starts over", () => {
  const pauses = new Pauses();
  start(pauses, MIRROR, "down", start(pauses, MIRROR, "down", NOW, 0).until, 0);
  pauses.end(MIRROR);
  assertEquals(pauses.get(MIRROR), undefined);
  assertEquals(pauses.all().size, 0);
  assertEquals(start(pauses, MIRROR, "down", NOW, 0), { until: NOW + 5000, failures: 1, because: "down" });
});

Deno.test("what failed is listed until it is ended", () => {
  const pauses = new Pauses();
  start(pauses, MIRROR, "down", NOW, 0);
  start(pauses, "other.example", "down", NOW, 0);
  assertEquals([...pauses.all().keys()], [MIRROR, "other.example"]);
});

Deno.test("each key has its own pause", () => {
  const pauses = new Pauses();
  start(pauses, MIRROR, "down", NOW, 0);
  assertEquals(pauses.get("mirror.example"), undefined);
});
