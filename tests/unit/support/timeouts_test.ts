// Holds lib/support/timeouts.ts to ending pauses early, and to waiting for work no longer than it is told to.

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { endsWithin, sleep } from "../../../lib/support/timeouts.ts";

const LONG_MS = 60_000;

Deno.test("a pause ends when its signal is aborted, before it begins or after", async () => {
  const stop = new AbortController();
  const pause = sleep(LONG_MS, stop.signal);
  stop.abort();
  await pause;
  await sleep(LONG_MS, stop.signal);
});

Deno.test("a pause that nobody cuts short lasts as long as it was to", async () => {
  const started = performance.now();
  await sleep(30, new AbortController().signal);
  assert(performance.now() - started >= 29);
});

Deno.test("work that ends in time is waited for, and leaves no timer behind", async () => {
  assertEquals(await endsWithin(LONG_MS, Promise.resolve("done")), true);
});

Deno.test("work that does not end is left to itself, and its later failure troubles nobody", async () => {
  const { promise, reject } = Promise.withResolvers<void>();
  assertEquals(await endsWithin(1, promise), false);
  reject(new Error("too late to matter"));
});

Deno.test("work that fails in time fails", async () => {
  const failure = new Error("no");
  const failed = await endsWithin(LONG_MS, Promise.reject(failure)).catch((error) => error);
  assertStrictEquals(failed, failure);
});
