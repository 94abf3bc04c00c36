// Tests lib/check/images/kept.ts: a finding about a kept image states only what is known.

import { assertEquals } from "@std/assert";
import { checkKept } from "../../../../lib/check/images/kept.ts";

Deno.test("a mirror that does not answer is not reported as lacking a kept image", () => {
  const of = (state: "lost" | "unanswered" | "unknown") => {
    const { verdict, message, remedy } = checkKept("gcr.io/pause:3", { state, because: "B" });
    return [verdict, message, remedy];
  };
  assertEquals(of("lost"), ["fail", "not here, and no mirror has it: B", "push it to a mirror"]);
  assertEquals(of("unanswered"), ["fail", "not here, and no mirror that answers has it: B", "see the mirrors above"]);
  assertEquals(of("unknown"), ["fail", "cannot be inspected: B", "see the runtime above"]);
});
