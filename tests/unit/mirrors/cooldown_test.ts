// Holds lib/mirrors/cooldown.ts to its promises about mirrors that are down.

import { assert, assertEquals } from "@std/assert";
import { MirrorRests, type Rest } from "../../../lib/mirrors/cooldown.ts";

const NOW = 1_589_591_513_000;
const MIRROR = "mirror.example:5000";

function secondsOf(rest: Rest, now = NOW): number {
  return (rest.until - now) / 1000;
}

/** The lengths of rests in seconds, each begun when the one before is over. */
function rests(times: number, random = 0, askedSeconds?: number): number[] {
  const mirrors = new MirrorRests();
  let now = NOW;
  return Array.from({ length: times }, () => {
    const rest = mirrors.send(MIRROR, "down", now, random, askedSeconds);
    const seconds = secondsOf(rest, now);
    now = rest.until;
    return seconds;
  });
}

Deno.test("a mirror that never failed may be asked", () => {
  assertEquals(new MirrorRests().current(MIRROR, NOW), undefined);
});

Deno.test("each failure doubles the rest, up to two minutes", () => {
  assertEquals(rests(7), [5, 10, 20, 40, 80, 120, 120]);
});

Deno.test("a thousand failures in a row still end in the longest rest", () => {
  assertEquals(rests(1000).at(-1), 120);
});

Deno.test("chance lengthens a rest by at most a fifth and never shortens it", () => {
  const longest = rests(7, 1 - Number.EPSILON);
  for (const [index, shortest] of rests(7).entries()) {
    const long = longest[index]!;
    assert(long > shortest && long <= shortest * 1.2001, `${shortest} s became ${long} s`);
  }
});

Deno.test("a rest is over in the very millisecond it ends", () => {
  const mirrors = new MirrorRests();
  const rest = mirrors.send(MIRROR, "down", NOW, 0);
  assertEquals(mirrors.current(MIRROR, NOW), rest);
  assertEquals(mirrors.current(MIRROR, rest.until - 1), rest);
  assertEquals(mirrors.current(MIRROR, rest.until), undefined);
});

Deno.test("pulls that fail while the mirror rests already are one failure", () => {
  const mirrors = new MirrorRests();
  const first = mirrors.send(MIRROR, "refused", NOW, 0);
  for (let count = 0; count < 9; count++) {
    assertEquals(mirrors.send(MIRROR, "refused too", NOW + 10, 0.9), first);
  }
  assertEquals(mirrors.send(MIRROR, "refused", first.until, 0).failures, 2);
});

/** What the mirror asked for, and how long it then rests after its first failure, in seconds. */
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
  Deno.test(`a Retry-After of ${asked} s makes a first rest of ${seconds} s`, () => {
    assertEquals(rests(1, 0, asked), [seconds]);
  });
}

Deno.test("a short Retry-After does not shorten rests that have grown", () => {
  assertEquals(rests(6, 0, 1), [5, 10, 20, 40, 80, 120]);
});

Deno.test("chance does not lengthen what the mirror itself asked for", () => {
  assertEquals(rests(1, 0.99, 60), [60]);
});

Deno.test("a Retry-After that comes during a rest lengthens it, without counting as another failure", () => {
  const mirrors = new MirrorRests();
  mirrors.send(MIRROR, "refused", NOW, 0);
  const rest = mirrors.send(MIRROR, "too many requests", NOW + 1000, 0, 60);
  assertEquals([secondsOf(rest), rest.failures], [61, 1]);
  assertEquals(mirrors.current(MIRROR, NOW + 60_000), rest);
});

Deno.test("a Retry-After that comes during a longer rest does not cut it short", () => {
  const mirrors = new MirrorRests();
  mirrors.send(MIRROR, "too many requests", NOW, 0, 600);
  const rest = mirrors.send(MIRROR, "too many requests", NOW + 1000, 0, 1);
  assertEquals([secondsOf(rest), rest.failures], [600, 1]);
});

Deno.test("a mirror that delivered starts afresh", () => {
  const mirrors = new MirrorRests();
  mirrors.send(MIRROR, "down", mirrors.send(MIRROR, "down", NOW, 0).until, 0);
  mirrors.wake(MIRROR);
  assertEquals(mirrors.current(MIRROR, NOW), undefined);
  assertEquals(mirrors.all().size, 0);
  assertEquals(mirrors.send(MIRROR, "down", NOW, 0), { until: NOW + 5000, failures: 1, because: "down" });
});

Deno.test("a mirror is listed until it delivers, also when its rest is over", () => {
  const mirrors = new MirrorRests();
  mirrors.send(MIRROR, "down", NOW, 0);
  mirrors.send("other.example", "down", NOW, 0);
  assertEquals(mirrors.current(MIRROR, NOW + 3_600_000), undefined);
  assertEquals([...mirrors.all().keys()], [MIRROR, "other.example"]);
});

Deno.test("mirrors rest each for itself, with or without a port", () => {
  const mirrors = new MirrorRests();
  mirrors.send(MIRROR, "down", NOW, 0);
  assertEquals(mirrors.current("mirror.example", NOW), undefined);
});
