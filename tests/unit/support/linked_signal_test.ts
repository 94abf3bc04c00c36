import { assertEquals, assertStrictEquals } from "@std/assert";
import { LinkedSignal } from "../../../lib/support/linked_signal.ts";

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
