import { assertEquals, assertStrictEquals } from "@std/assert";
import { LinkedSignal } from "../../../lib/support/linked_signal.ts";

Deno.test("a linked signal is aborted with its source's reason, whether that was aborted before or after", () => {
  for (const early of [true, false]) {
    const source = new AbortController();
    if (early) source.abort("enough");
    using linked = new LinkedSignal(source.signal);
    source.abort("enough");
    assertEquals([linked.signal.aborted, linked.signal.reason], [true, "enough"]);
  }
});

Deno.test("a linked signal that is aborted alone, or lets go, leaves its source as it was", () => {
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
