// Tests lib/support/semaphore.ts: its limit, its order, and waiting tasks that are aborted.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Semaphore } from "../../../lib/support/semaphore.ts";

const unaborted = new AbortController().signal;

/** A task that runs until `end` or `fail` is called. */
class Visit {
  readonly #gate = Promise.withResolvers<void>();
  readonly done: Promise<string>;
  entered = false;

  constructor(places: Semaphore, name: string, signal = unaborted) {
    this.done = places.with(signal, async () => {
      this.entered = true;
      await this.#gate.promise;
      return name;
    });
    // The tests check an abort later.
    this.done.catch(() => {});
  }

  end(): void {
    this.#gate.resolve();
  }

  fail(error: Error): void {
    this.#gate.reject(error);
  }
}

/** Lets pending promises settle. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

function entered(visits: readonly Visit[]): boolean[] {
  return visits.map((visit) => visit.entered);
}

Deno.test("no more tasks run at once than there are places, and each returns its own result", async () => {
  const places = new Semaphore(2);
  const visits = ["a", "b", "c", "d"].map((name) => new Visit(places, name));
  await settle();
  assertEquals(entered(visits), [true, true, false, false]);
  for (const visit of visits) visit.end();
  assertEquals(await Promise.all(visits.map((visit) => visit.done)), ["a", "b", "c", "d"]);
});

Deno.test("waiting tasks run in order, one for each place given back", async () => {
  const places = new Semaphore(1);
  const visits = ["a", "b", "c"].map((name) => new Visit(places, name));
  visits[0]!.end();
  await visits[0]!.done;
  await settle();
  assertEquals(entered(visits), [true, true, false]);
  visits[1]!.end();
  await visits[1]!.done;
  await settle();
  assertEquals(entered(visits), [true, true, true]);
  visits[2]!.end();
  await visits[2]!.done;
});

Deno.test("a task that arrives as a place is given back does not overtake waiting tasks", async () => {
  const places = new Semaphore(1);
  const first = new Visit(places, "first");
  const waiting = new Visit(places, "waiting");
  const late = first.done.then(() => new Visit(places, "late"));
  first.end();
  const visits = [waiting, await late];
  await settle();
  assertEquals(entered(visits), [true, false]);
  for (const visit of visits) visit.end();
  await Promise.all(visits.map((visit) => visit.done));
});

Deno.test("a task that fails gives its place back and passes its error on", async () => {
  const places = new Semaphore(1);
  const failing = new Visit(places, "failing");
  const next = new Visit(places, "next");
  const error = new Error("no space left on device");
  failing.fail(error);
  assertStrictEquals(await assertRejects(() => failing.done, Error), error);
  next.end();
  assertEquals(await next.done, "next");
});

Deno.test("a task that throws before its first await also gives its place back", async () => {
  const places = new Semaphore(1);
  await assertRejects(
    () =>
      places.with(unaborted, () => {
        throw new RangeError("at once");
      }),
    RangeError,
    "at once",
  );
  assertEquals(await places.with(unaborted, () => Promise.resolve("next")), "next");
});

Deno.test("a task aborted while waiting rejects with the signal's reason and never runs", async () => {
  const places = new Semaphore(1);
  const inside = new Visit(places, "inside");
  const stop = new AbortController();
  const leaving = new Visit(places, "leaving", stop.signal);
  const staying = new Visit(places, "staying");
  const reason = new Error("stopped by a signal");
  stop.abort(reason);
  assertStrictEquals(await assertRejects(() => leaving.done, Error), reason);
  inside.end();
  await inside.done;
  staying.end();
  assertEquals(await staying.done, "staying");
  assert(!leaving.entered);
});

Deno.test("when all waiting tasks are aborted, the place is free for the next task", async () => {
  const places = new Semaphore(1);
  const inside = new Visit(places, "inside");
  const stop = new AbortController();
  const leaving = Array.from({ length: 5 }, (_, index) => new Visit(places, `${index}`, stop.signal));
  stop.abort(new Error("stop"));
  const results = await Promise.allSettled(leaving.map((visit) => visit.done));
  assertEquals(results.map((result) => result.status), Array(5).fill("rejected"));
  inside.end();
  await inside.done;
  assertEquals(await places.with(unaborted, () => Promise.resolve("next")), "next");
});

Deno.test("an abort of a running task does not take the turn of a waiting one", async () => {
  const places = new Semaphore(1);
  const stop = new AbortController();
  const first = new Visit(places, "first");
  const served = new Visit(places, "served", stop.signal);
  const last = new Visit(places, "last");
  first.end();
  await first.done;
  await settle();
  assertEquals(entered([served, last]), [true, false]);
  stop.abort(new Error("too late to leave the line"));
  await settle();
  assert(!last.entered, "the task that was told to stop still holds its place");
  served.end();
  assertEquals(await served.done, "served");
  last.end();
  assertEquals(await last.done, "last");
});

Deno.test("a task with an aborted signal gets no place, even a free one", async () => {
  const places = new Semaphore(1);
  const visit = new Visit(places, "visit", AbortSignal.abort(new Error("stopped before")));
  await assertRejects(() => visit.done, Error, "stopped before");
  assert(!visit.entered);
  assertEquals(await places.with(unaborted, () => Promise.resolve("next")), "next");
});

Deno.test("a thousand tasks over three places leave all three free", async () => {
  const places = new Semaphore(3);
  let running = 0;
  let most = 0;
  await Promise.all(Array.from({ length: 1000 }, () =>
    places.with(unaborted, async () => {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
    })));
  const visits = ["a", "b", "c", "d"].map((name) => new Visit(places, name));
  await settle();
  assertEquals([most, ...entered(visits)], [3, true, true, true, false]);
  for (const visit of visits) visit.end();
  await Promise.all(visits.map((visit) => visit.done));
});

/** A task that asks a question while it waits; the test sets `answer`. */
function asking(places: Semaphore, signal = unaborted) {
  const answer = Promise.withResolvers<boolean>();
  const it = { entered: false, asked: 0, wasEnded: false };
  const done = places.with(signal, () => {
    it.entered = true;
    return Promise.resolve("entered");
  }, (here) => {
    it.asked++;
    here.addEventListener("abort", () => it.wasEnded = true, { once: true });
    return answer.promise;
  });
  done.catch(() => {});
  return { it, done, answer };
}

Deno.test("a task that finds a free place asks no question", async () => {
  const { it, done } = asking(new Semaphore(1));
  assertEquals(await done, "entered");
  assertEquals(it.asked, 0);
});

Deno.test("in a short queue no task asks, in a long one every task asks once", async () => {
  const places = new Semaphore(1, 2);
  const inside = new Visit(places, "inside");
  const line = [asking(places), asking(places)];
  assertEquals(line.map(({ it }) => it.asked), [0, 0]);
  line.push(asking(places), asking(places));
  assertEquals(line.map(({ it }) => it.asked), [1, 1, 1, 1]);
  for (const { answer } of line) answer.resolve(false);
  inside.end();
  assertEquals(await Promise.all(line.map(({ done }) => done)), Array(4).fill("entered"));
});

Deno.test("a task that is told to let others go first goes last, but still runs", async () => {
  const places = new Semaphore(1);
  const inside = new Visit(places, "inside");
  const { it, done, answer } = asking(places);
  const behind = new Visit(places, "behind");
  answer.resolve(true);
  await settle();
  inside.end();
  await settle();
  assertEquals([behind.entered, it.entered], [true, false]);
  behind.end();
  assertEquals(await done, "entered");
});

Deno.test("a task that is told to wait, gets no answer or an error runs in turn, and the question ends", async () => {
  for (const heard of ["no", "nothing", "an error"]) {
    const places = new Semaphore(1);
    const inside = new Visit(places, "inside");
    const { it, done, answer } = asking(places);
    const behind = new Visit(places, "behind");
    if (heard === "no") answer.resolve(false);
    if (heard === "an error") answer.reject(new Error("500"));
    await settle();
    assertEquals([it.asked, it.entered], [1, false]);
    inside.end();
    assertEquals(await done, "entered", heard);
    assertEquals(it.wasEnded, true);
    behind.end();
    await behind.done;
  }
});

Deno.test("an answer at the same moment as a place loses no place", async () => {
  const places = new Semaphore(1);
  const inside = new Visit(places, "inside");
  const { done, answer } = asking(places);
  inside.end();
  answer.resolve(true);
  await done;
  assertEquals(await places.with(unaborted, () => Promise.resolve("free again")), "free again");
});

Deno.test("a task aborted while it asks leaves the queue, and the others move up", async () => {
  const places = new Semaphore(1);
  const inside = new Visit(places, "inside");
  const stop = new AbortController();
  const { done } = asking(places, stop.signal);
  stop.abort(new Error("stopped by a signal"));
  await assertRejects(() => done, Error, "stopped by a signal");
  inside.end();
  assertEquals(await places.with(unaborted, () => Promise.resolve("free again")), "free again");
});
