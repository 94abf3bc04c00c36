import { assertEquals, assertStrictEquals } from "@std/assert";
import { Follower } from "../../../lib/support/linked_signal.ts";

Deno.test("a follower's signal is aborted with its leader's reason, whether before it follows or after", () => {
  for (const early of [true, false]) {
    const leader = new AbortController();
    if (early) leader.abort("enough");
    using follower = new Follower(leader.signal);
    leader.abort("enough");
    assertEquals([follower.signal.aborted, follower.signal.reason], [true, "enough"]);
  }
});

Deno.test("a follower that ends alone, or lets go, leaves its leader as it was", () => {
  const leader = new AbortController();
  const alone = new Follower(leader.signal);
  alone.abort();
  assertEquals([alone.signal.aborted, leader.signal.aborted], [true, false]);
  const { signal } = alone;
  const gone = new Follower(leader.signal);
  gone[Symbol.dispose]();
  leader.abort();
  assertStrictEquals(gone.signal.aborted, false);
  assertStrictEquals(signal.reason instanceof DOMException, true);
});
