// Holds lib/plan/retries.ts to its promises about when an image is tried again.

import { assert, assertEquals } from "@std/assert";
import type { Failed, Outcome } from "../../../lib/plan/outcome.ts";
import { type AttemptRecord, Attempts, KUBELET_RETRY_SECONDS } from "../../../lib/plan/retries.ts";

const NOW = 1_589_591_513_000;
const named = (name: string) => ({ name, candidates: [] });
const IMAGE = named("gcr.io/team/app:1");
const BACKOFF = { initialSeconds: 10, maxSeconds: 300 };

function failed(reason?: Failed["reason"]): Failed {
  return { result: "failed", reason, message: "no luck", attempts: [] };
}

/** Seconds until the next try after each of `times` failures in a row. */
function pauses(times: number, outcome: Outcome, random = 0, backoff = BACKOFF): number[] {
  const attempts = new Attempts(backoff);
  return Array.from({ length: times }, () => pauseOf(attempts.note(IMAGE, outcome, NOW, random)));
}

function pauseOf(record: AttemptRecord): number {
  return (record.nextTryAt - NOW) / 1000;
}

Deno.test("an image that was never tried has no record", () => {
  assertEquals(new Attempts(BACKOFF).get(IMAGE.name), undefined);
});

Deno.test("each failure doubles the pause, up to the longest one", () => {
  assertEquals(pauses(8, failed()), [10, 20, 40, 80, 160, 300, 300, 300]);
});

for (const reason of ["not-in-mirror", "denied", "digest-on-classic-store"] as const) {
  Deno.test(`after ${reason} the pauses may grow six times longer, but begin alike`, () => {
    assertEquals(pauses(10, failed(reason)), [10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800]);
  });
}

Deno.test("a first pause longer than the longest one is cut to it", () => {
  assertEquals(pauses(2, failed(), 0, { initialSeconds: 90, maxSeconds: 60 }), [60, 60]);
});

Deno.test("chance lengthens a pause by at most a fifth and never shortens it", () => {
  const almostOne = 1 - Number.EPSILON;
  for (const [index, shortest] of pauses(8, failed(), 0).entries()) {
    const longest = pauses(8, failed(), almostOne)[index]!;
    assert(longest > shortest && longest <= shortest * 1.2, `${shortest} s became ${longest} s`);
  }
});

Deno.test("ten thousand failures in a row still end in the longest pause", () => {
  assertEquals(pauses(10_000, failed()).at(-1), 300);
});

Deno.test("a repair gives the kubelet time to look again, and chance has no part in it", () => {
  const present: Outcome = { result: "already-present", id: "sha256:1" };
  assertEquals(pauses(3, present, 0.9), [KUBELET_RETRY_SECONDS, KUBELET_RETRY_SECONDS, KUBELET_RETRY_SECONDS]);
});

Deno.test("a success ends the row of failures", () => {
  const attempts = new Attempts(BACKOFF);
  for (let count = 1; count <= 4; count++) {
    assertEquals(attempts.note(IMAGE, failed(), NOW, 0).failures, count);
  }
  assertEquals(attempts.note(IMAGE, { result: "already-present", id: "sha256:1" }, NOW, 0).failures, 0);
  assertEquals(pauseOf(attempts.note(IMAGE, failed(), NOW, 0)), 10);
});

Deno.test("a runtime that is away is asked again without growing pauses, and leaves those of the image as they were", () => {
  const away: Failed = { ...failed(), runtimeSilent: true };
  assertEquals(pauses(5, away), [10, 10, 10, 10, 10]);
  const attempts = new Attempts(BACKOFF);
  const row = [failed(), failed(), away, away, failed()];
  assertEquals(row.map((outcome) => pauseOf(attempts.note(IMAGE, outcome, NOW, 0))), [10, 20, 20, 20, 40]);
});

Deno.test("when an answer improves from final to bad luck, the shorter limit holds at once", () => {
  const attempts = new Attempts(BACKOFF);
  for (let count = 0; count < 12; count++) attempts.note(IMAGE, failed("not-in-mirror"), NOW, 0);
  assertEquals(pauseOf(attempts.note(IMAGE, failed(), NOW, 0)), 300);
});

Deno.test("the record keeps the last outcome, and images know nothing of each other", () => {
  const attempts = new Attempts(BACKOFF);
  const outcome = failed("denied");
  attempts.note(IMAGE, failed(), NOW, 0);
  const record = attempts.note(IMAGE, outcome, NOW, 0);
  assertEquals(attempts.get(IMAGE.name), record);
  assertEquals(record, { failures: 2, nextTryAt: NOW + 20_000, last: outcome });
  assertEquals(attempts.note(named("gcr.io/team/app:2"), failed(), NOW, 0).failures, 1);
});

Deno.test("only the images that are kept are remembered", () => {
  const attempts = new Attempts(BACKOFF);
  for (const name of ["a", "b", "c"]) attempts.note(named(name), failed(), NOW, 0);
  attempts.keepOnly(new Set(["b", "never-seen"]));
  assertEquals(["a", "b", "c", "never-seen"].map((name) => attempts.get(name)?.failures), [
    undefined,
    1,
    undefined,
    undefined,
  ]);
});

Deno.test("the next try is the earliest of the images that are not being repaired", () => {
  const attempts = new Attempts(BACKOFF);
  assertEquals(attempts.nextTryAt(() => false), undefined);
  attempts.note(named("gcr.io/a:1"), failed(), NOW, 0);
  attempts.note(named("gcr.io/b:1"), failed(), NOW - 3000, 0);
  attempts.note(named("gcr.io/c:1"), failed(), NOW + 5000, 0);
  assertEquals(attempts.nextTryAt(() => false), NOW + 7000);
  assertEquals(attempts.nextTryAt((name) => name === "gcr.io/b:1"), NOW + 10_000);
  attempts.keepOnly(new Set(["gcr.io/c:1"]));
  assertEquals(attempts.nextTryAt(() => false), NOW + 15_000);
  assertEquals(attempts.nextTryAt(() => true), undefined);
});

Deno.test("other pauses hold for those that have begun as well", () => {
  const attempts = new Attempts(BACKOFF);
  for (let count = 0; count < 4; count++) attempts.note(IMAGE, failed(), NOW, 0.5);
  const before = attempts.get(IMAGE.name)!;
  assertEquals(pauseOf(before), 88);
  attempts.changeBackoff({ initialSeconds: 1, maxSeconds: 300 });
  assertEquals(attempts.get(IMAGE.name), { ...before, nextTryAt: NOW + 8800 });
  attempts.changeBackoff(BACKOFF);
  assertEquals(attempts.get(IMAGE.name), before);
});
