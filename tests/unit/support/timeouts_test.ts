// Tests lib/support/timeouts.ts: a pause ends early on abort, and work is awaited only so long.

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { endsWithin, sleep } from "../../../lib/support/timeouts.ts";

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
