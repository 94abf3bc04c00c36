// Holds lib/support/semaphore.ts to its limit, its order, and to letting go of those who give up.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Semaphore } from "../../../lib/support/semaphore.ts";

const unaborted = new AbortController().signal;

/** A task that runs until it is told to end. */
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
    // Who is aborted is looked at later.
    this.done.catch(() => {});
  }

  end(): void {
    this.#gate.resolve();
  }

  fail(error: Error): void {
    this.#gate.reject(error);
  }
}

/** Lets every promise that can go on go on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

function entered(visits: readonly Visit[]): boolean[] {
  return visits.map((visit) => visit.entered);
}

Deno.test("no more tasks run at once than there are places, and each answers for itself", async () => {
  const places = new Semaphore(2);
  const visits = ["a", "b", "c", "d"].map((name) => new Visit(places, name));
  await settle();
  assertEquals(entered(visits), [true, true, false, false]);
  for (const visit of visits) visit.end();
  assertEquals(await Promise.all(visits.map((visit) => visit.done)), ["a", "b", "c", "d"]);
});

Deno.test("who waits is served in order, one for each place that is given back", async () => {
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

Deno.test("nobody who comes in the moment a place is given back slips in before those who wait", async () => {
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

Deno.test("a task that fails gives its place back and its error on", async () => {
  const places = new Semaphore(1);
  const failing = new Visit(places, "failing");
  const next = new Visit(places, "next");
  const error = new Error("no space left on device");
  failing.fail(error);
  assertStrictEquals(await assertRejects(() => failing.done, Error), error);
  next.end();
  assertEquals(await next.done, "next");
});

Deno.test("a task that throws before its first await gives its place back too", async () => {
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

Deno.test("who is aborted while waiting leaves with the signal's reason and never runs", async () => {
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

Deno.test("when everyone in the line leaves, the place is free for the next who comes", async () => {
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

Deno.test("an abort after a waiter got its place takes no other waiter's turn", async () => {
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

Deno.test("an aborted signal gets no place, even a free one", async () => {
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

/** Someone who asks while standing in line; `answer` comes when it is told. */
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

Deno.test("who finds a free place asks nothing", async () => {
  const { it, done } = asking(new Semaphore(1));
  assertEquals(await done, "entered");
  assertEquals(it.asked, 0);
});

Deno.test("in a short line nobody is asked, in a long one everybody, and each once", async () => {
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

Deno.test("who hears in line that others may go first goes last, and enters all the same", async () => {
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

Deno.test("who hears that it is worth waiting, nothing yet, or an error, enters in turn, and the question ends", async () => {
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

Deno.test("an answer and a place in the same moment cost nobody a place", async () => {
  const places = new Semaphore(1);
  const inside = new Visit(places, "inside");
  const { done, answer } = asking(places);
  inside.end();
  answer.resolve(true);
  await done;
  assertEquals(await places.with(unaborted, () => Promise.resolve("free again")), "free again");
});

Deno.test("who is aborted while asking in line leaves it, and the others move up", async () => {
  const places = new Semaphore(1);
  const inside = new Visit(places, "inside");
  const stop = new AbortController();
  const { done } = asking(places, stop.signal);
  stop.abort(new Error("stopped by a signal"));
  await assertRejects(() => done, Error, "stopped by a signal");
  inside.end();
  assertEquals(await places.with(unaborted, () => Promise.resolve("free again")), "free again");
});
