// Tests lib/mirrors/cooldown.ts: how long a mirror that is down is avoided.

import { assert, assertEquals } from "@std/assert";
import { type Cooldown, Cooldowns } from "../../../lib/mirrors/cooldown.ts";

const NOW = 1_589_591_513_000;
const MIRROR = "mirror.example:5000";

function secondsOf(cooldown: Cooldown, now = NOW): number {
  return (cooldown.until - now) / 1000;
}

/** The lengths of cool-downs in seconds; each starts when the previous one is over. */
function lengths(times: number, random = 0, askedSeconds?: number): number[] {
  const mirrors = new Cooldowns();
  let now = NOW;
  return Array.from({ length: times }, () => {
    const cooldown = mirrors.start(MIRROR, "down", now, random, askedSeconds);
    const seconds = secondsOf(cooldown, now);
    now = cooldown.until;
    return seconds;
  });
}

Deno.test("a mirror that never failed is not cooling down", () => {
  assertEquals(new Cooldowns().current(MIRROR, NOW), undefined);
});

Deno.test("each failure doubles the cool-down, up to two minutes", () => {
  assertEquals(lengths(7), [5, 10, 20, 40, 80, 120, 120]);
});

Deno.test("a thousand consecutive failures still give the longest cool-down", () => {
  assertEquals(lengths(1000).at(-1), 120);
});

Deno.test("jitter lengthens a cool-down by at most a fifth and never shortens it", () => {
  const longest = lengths(7, 1 - Number.EPSILON);
  for (const [index, shortest] of lengths(7).entries()) {
    const long = longest[index]!;
    assert(long > shortest && long <= shortest * 1.2001, `${shortest} s became ${long} s`);
  }
});

Deno.test("a cool-down is over in the millisecond in which it ends", () => {
  const mirrors = new Cooldowns();
  const cooldown = mirrors.start(MIRROR, "down", NOW, 0);
  assertEquals(mirrors.current(MIRROR, NOW), cooldown);
  assertEquals(mirrors.current(MIRROR, cooldown.until - 1), cooldown);
  assertEquals(mirrors.current(MIRROR, cooldown.until), undefined);
});

Deno.test("pulls that fail while the mirror is cooling down are one failure", () => {
  const mirrors = new Cooldowns();
  const first = mirrors.start(MIRROR, "refused", NOW, 0);
  for (let count = 0; count < 9; count++) {
    assertEquals(mirrors.start(MIRROR, "refused too", NOW + 10, 0.9), first);
  }
  assertEquals(mirrors.start(MIRROR, "refused", first.until, 0).failures, 2);
});

/** The Retry-After of the mirror, and its first cool-down, in seconds. */
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
  Deno.test(`a Retry-After of ${asked} s gives a first cool-down of ${seconds} s`, () => {
    assertEquals(lengths(1, 0, asked), [seconds]);
  });
}

Deno.test("a short Retry-After does not shorten a longer cool-down", () => {
  assertEquals(lengths(6, 0, 1), [5, 10, 20, 40, 80, 120]);
});

Deno.test("jitter does not lengthen a cool-down that the mirror requested", () => {
  assertEquals(lengths(1, 0.99, 60), [60]);
});

Deno.test("a Retry-After during a cool-down lengthens it, and does not count as another failure", () => {
  const mirrors = new Cooldowns();
  mirrors.start(MIRROR, "refused", NOW, 0);
  const cooldown = mirrors.start(MIRROR, "too many requests", NOW + 1000, 0, 60);
  assertEquals([secondsOf(cooldown), cooldown.failures], [61, 1]);
  assertEquals(mirrors.current(MIRROR, NOW + 60_000), cooldown);
});

Deno.test("a Retry-After during a longer cool-down does not shorten it", () => {
  const mirrors = new Cooldowns();
  mirrors.start(MIRROR, "too many requests", NOW, 0, 600);
  const cooldown = mirrors.start(MIRROR, "too many requests", NOW + 1000, 0, 1);
  assertEquals([secondsOf(cooldown), cooldown.failures], [600, 1]);
});

Deno.test("a mirror that delivers starts over", () => {
  const mirrors = new Cooldowns();
  mirrors.start(MIRROR, "down", mirrors.start(MIRROR, "down", NOW, 0).until, 0);
  mirrors.end(MIRROR);
  assertEquals(mirrors.current(MIRROR, NOW), undefined);
  assertEquals(mirrors.all().size, 0);
  assertEquals(mirrors.start(MIRROR, "down", NOW, 0), { until: NOW + 5000, failures: 1, because: "down" });
});

Deno.test("a mirror is listed until it delivers, even after its cool-down", () => {
  const mirrors = new Cooldowns();
  mirrors.start(MIRROR, "down", NOW, 0);
  mirrors.start("other.example", "down", NOW, 0);
  assertEquals(mirrors.current(MIRROR, NOW + 3_600_000), undefined);
  assertEquals([...mirrors.all().keys()], [MIRROR, "other.example"]);
});

Deno.test("each mirror cools down separately; the same host with another port is another mirror", () => {
  const mirrors = new Cooldowns();
  mirrors.start(MIRROR, "down", NOW, 0);
  assertEquals(mirrors.current("mirror.example", NOW), undefined);
});
