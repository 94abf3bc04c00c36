// Tests lib/support/timeouts.ts: a pause ends early on abort, work is awaited only so long, and a
// signal follows its source until it is detached.

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { endsWithin, LinkedSignal, sleep } from "../../../lib/support/timeouts.ts";

const LONG_MS = 60_000;

Deno.test("a pause ends when its signal is aborted, before it starts or after", async () => {
  const stop = new AbortController();
  const pause = sleep(LONG_MS, stop.signal);
  stop.abort();
  await pause;
  await sleep(LONG_MS, stop.signal);
});

Deno.test("a pause that is not aborted lasts its full time", async () => {
  const started = performance.now();
  await sleep(30, new AbortController().signal);
  assert(performance.now() - started >= 29);
});

Deno.test("work that ends in time is awaited", async () => {
  assertEquals(await endsWithin(LONG_MS, Promise.resolve("done")), true);
});

Deno.test("work that does not end is abandoned, and its later failure is ignored", async () => {
  const { promise, reject } = Promise.withResolvers<void>();
  assertEquals(await endsWithin(1, promise), false);
  reject(new Error("too late to matter"));
});

Deno.test("work that fails in time rejects", async () => {
  const failure = new Error("no");
  const failed = await endsWithin(LONG_MS, Promise.reject(failure)).catch((error) => error);
  assertStrictEquals(failed, failure);
});

Deno.test("a linked signal is aborted with its source's reason, whether before or after it was linked", () => {
  for (const early of [true, false]) {
    const source = new AbortController();
    if (early) source.abort("enough");
    using linked = new LinkedSignal(source.signal);
    source.abort("enough");
    assertEquals([linked.signal.aborted, linked.signal.reason], [true, "enough"]);
  }
});

Deno.test("aborting or disposing a linked signal leaves its source alone", () => {
  const source = new AbortController();
  const alone = new LinkedSignal(source.signal);
  alone.abort();
  assertEquals([alone.signal.aborted, source.signal.aborted], [true, false]);
  const { signal } = alone;
  const gone = new LinkedSignal(source.signal);
  gone[Symbol.dispose]();
  source.abort();
  assertStrictEquals(gone.signal.aborted, false);
  assertStrictEquals(signal.reason instanceof DOMException, true);
});
