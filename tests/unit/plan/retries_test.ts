// Tests lib/plan/retries.ts: when an image is tried again.

import { assert, assertEquals } from "@std/assert";
import type { CandidateFailure, Failed, Outcome } from "../../../lib/plan/outcome.ts";
import { KUBELET_RETRY_SECONDS, type RetryRecord, RetrySchedule } from "../../../lib/plan/retries.ts";

const NOW = 1_589_591_513_000;
const named = (name: string) => ({ name, candidates: [] });
const IMAGE = named("gcr.io/team/app:1");
const BACKOFF = { initialSeconds: 10, maxSeconds: 300 };

function failed(reason?: Failed["reason"]): Failed {
  return { result: "failed", reason, message: "no luck", attempts: [] };
}

/** Seconds until the next try after each of `times` failures in a row. */
function pauses(times: number, outcome: Outcome, random = 0, backoff = BACKOFF): number[] {
  const schedule = new RetrySchedule(backoff);
  return Array.from({ length: times }, () => pauseOf(schedule.record(IMAGE, outcome, NOW, random)));
}

function pauseOf(record: RetryRecord): number {
  return (record.nextTryAt - NOW) / 1000;
}

Deno.test("an image that was never tried has no record", () => {
  assertEquals(new RetrySchedule(BACKOFF).get(IMAGE.name), undefined);
});

Deno.test("each failure doubles the pause, up to the longest one", () => {
  assertEquals(pauses(8, failed()), [10, 20, 40, 80, 160, 300, 300, 300]);
});

for (const reason of ["not-in-mirror", "denied", "digest-on-classic-store"] as const) {
  Deno.test(`after ${reason} pauses start alike, but may grow six times as long`, () => {
    assertEquals(pauses(10, failed(reason)), [10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800]);
  });
}

Deno.test("a first pause longer than the longest one is cut to it", () => {
  assertEquals(pauses(2, failed(), 0, { initialSeconds: 90, maxSeconds: 60 }), [60, 60]);
});

Deno.test("jitter lengthens a pause by at most a fifth and never shortens it", () => {
  const almostOne = 1 - Number.EPSILON;
  for (const [index, shortest] of pauses(8, failed(), 0).entries()) {
    const longest = pauses(8, failed(), almostOne)[index]!;
    assert(longest > shortest && longest <= shortest * 1.2, `${shortest} s became ${longest} s`);
  }
});

Deno.test("ten thousand consecutive failures still give the longest pause", () => {
  assertEquals(pauses(10_000, failed()).at(-1), 300);
});

Deno.test("after a repair the kubelet gets time to retry, without jitter", () => {
  const present: Outcome = { result: "already-present", id: "sha256:1" };
  assertEquals(pauses(3, present, 0.9), [KUBELET_RETRY_SECONDS, KUBELET_RETRY_SECONDS, KUBELET_RETRY_SECONDS]);
});

Deno.test("a success resets the count of failures", () => {
  const schedule = new RetrySchedule(BACKOFF);
  for (let count = 1; count <= 4; count++) {
    assertEquals(schedule.record(IMAGE, failed(), NOW, 0).failures, count);
  }
  assertEquals(schedule.record(IMAGE, { result: "already-present", id: "sha256:1" }, NOW, 0).failures, 0);
  assertEquals(pauseOf(schedule.record(IMAGE, failed(), NOW, 0)), 10);
});

Deno.test("while the runtime is away pauses do not grow, and the count of failures is kept", () => {
  const away: Failed = { ...failed(), runtimeSilent: true };
  assertEquals(pauses(5, away), [10, 10, 10, 10, 10]);
  const schedule = new RetrySchedule(BACKOFF);
  const row = [failed(), failed(), away, away, failed()];
  assertEquals(row.map((outcome) => pauseOf(schedule.record(IMAGE, outcome, NOW, 0))), [10, 20, 20, 20, 40]);
});

/** A failure whose candidates were tried, or skipped because of cool-downs that end after so many seconds. */
function heldUp(...seconds: (number | undefined)[]): Failed {
  const candidate = { mirror: "m", location: "m", repository: "m/app", reference: "m/app:1" };
  const attempts = seconds.map((it) =>
    it === undefined
      ? { candidate, failure: "not-found" as const, message: "" }
      : { candidate, failure: "cooling-down" as const, message: "", until: NOW + 1000 * it }
  );
  return { ...failed(), attempts };
}

Deno.test("an image that a cool-down held up is retried within a second after the cool-down", () => {
  assertEquals(pauses(4, heldUp(7)), [7, 7, 7, 7]);
  assertEquals(pauses(1, heldUp(7), 0.5), [7.5]);
});

Deno.test("the cool-down that ends first counts, also beside a candidate that was tried", () => {
  assertEquals(pauses(1, heldUp(undefined, 9, 4)), [4]);
});

Deno.test("a cool-down that is longer than the pause delays nothing, and one that is over is no reason to hurry", () => {
  assertEquals(pauses(3, heldUp(60)), [10, 20, 40]);
  assertEquals(pauses(1, heldUp(-5)), [0]);
});

Deno.test("when a mirror delivers again, the images that it held up are due within a second, and no others", () => {
  const candidate = (location: string) => (
    { mirror: "m", location, repository: `${location}/app`, reference: `${location}/app:1` }
  );
  const failures = { skipped: "cooling-down", down: "registry-down", broken: "registry-error", missing: "not-found" };
  const due = (mirror: string) => {
    const schedule = new RetrySchedule(BACKOFF);
    for (const [name, failure] of Object.entries(failures) as [string, CandidateFailure][]) {
      const attempts = [{ candidate: candidate("m/quay"), failure, message: "" }];
      schedule.record(named(name), { ...failed(), attempts }, NOW, 0.5);
    }
    schedule.record(named("there"), { result: "already-present", id: "sha256:1" }, NOW, 0.5);
    schedule.hasten(mirror, NOW + 2000);
    return [...Object.keys(failures), "there"].filter((name) => schedule.get(name)!.nextTryAt === NOW + 2500);
  };
  assertEquals(due("m"), ["skipped", "down", "broken"]);
  assertEquals(due("m/quay"), ["skipped", "down", "broken"]);
  assertEquals([due("n"), due("m/gcr")], [[], []]);
});

Deno.test("a recovery never delays an image", () => {
  const schedule = new RetrySchedule(BACKOFF);
  schedule.record(IMAGE, heldUp(1), NOW, 0);
  schedule.hasten("m", NOW + 5000);
  assertEquals(pauseOf(schedule.get(IMAGE.name)!), 1);
});

Deno.test("when a final failure becomes a transient one, the shorter limit applies at once", () => {
  const schedule = new RetrySchedule(BACKOFF);
  for (let count = 0; count < 12; count++) schedule.record(IMAGE, failed("not-in-mirror"), NOW, 0);
  assertEquals(pauseOf(schedule.record(IMAGE, failed(), NOW, 0)), 300);
});

Deno.test("the record keeps the last outcome, and each image has its own record", () => {
  const schedule = new RetrySchedule(BACKOFF);
  const outcome = failed("denied");
  schedule.record(IMAGE, failed(), NOW, 0);
  const record = schedule.record(IMAGE, outcome, NOW, 0);
  assertEquals(schedule.get(IMAGE.name), record);
  assertEquals(record, { failures: 2, nextTryAt: NOW + 20_000, last: outcome });
  assertEquals(schedule.record(named("gcr.io/team/app:2"), failed(), NOW, 0).failures, 1);
});

Deno.test("retain forgets all other images", () => {
  const schedule = new RetrySchedule(BACKOFF);
  for (const name of ["a", "b", "c"]) schedule.record(named(name), failed(), NOW, 0);
  schedule.retain(new Set(["b", "never-seen"]));
  assertEquals(["a", "b", "c", "never-seen"].map((name) => schedule.get(name)?.failures), [
    undefined,
    1,
    undefined,
    undefined,
  ]);
});

Deno.test("the next try is the earliest of all images that are not being repaired", () => {
  const schedule = new RetrySchedule(BACKOFF);
  assertEquals(schedule.nextTryAt(() => false), undefined);
  schedule.record(named("gcr.io/a:1"), failed(), NOW, 0);
  schedule.record(named("gcr.io/b:1"), failed(), NOW - 3000, 0);
  schedule.record(named("gcr.io/c:1"), failed(), NOW + 5000, 0);
  assertEquals(schedule.nextTryAt(() => false), NOW + 7000);
  assertEquals(schedule.nextTryAt((name) => name === "gcr.io/b:1"), NOW + 10_000);
  schedule.retain(new Set(["gcr.io/c:1"]));
  assertEquals(schedule.nextTryAt(() => false), NOW + 15_000);
  assertEquals(schedule.nextTryAt(() => true), undefined);
});

Deno.test("a changed back-off also applies to pauses that have begun", () => {
  const schedule = new RetrySchedule(BACKOFF);
  for (let count = 0; count < 4; count++) schedule.record(IMAGE, failed(), NOW, 0.5);
  const before = schedule.get(IMAGE.name)!;
  assertEquals(pauseOf(before), 88);
  schedule.changeBackoff({ initialSeconds: 1, maxSeconds: 300 });
  assertEquals(schedule.get(IMAGE.name), { ...before, nextTryAt: NOW + 8800 });
  schedule.changeBackoff(BACKOFF);
  assertEquals(schedule.get(IMAGE.name), before);
});
