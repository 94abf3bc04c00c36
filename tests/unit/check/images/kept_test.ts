// Tests lib/check/images/kept.ts: a finding about a kept image states only what is known.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkKept, keptCheck } from "../../../../lib/check/images/kept.ts";
import { checkContext } from "../../../fakes/check_context.ts";

Deno.test("a mirror that does not answer is not reported as lacking a kept image", () => {
  const of = (state: "lost" | "unanswered" | "unknown") => {
    const { verdict, message, remedy } = checkKept("gcr.io/pause:3", { state, because: "B" });
    return [verdict, message, remedy];
  };
  assertEquals(of("lost"), ["fail", "not here, and no mirror has it: B", "push it to a mirror"]);
  assertEquals(of("unanswered"), ["fail", "not here, and no mirror that answers has it: B", "see the mirrors above"]);
  assertEquals(of("unknown"), ["fail", "cannot be inspected: B", "see the runtime above"]);
});

Deno.test("a kept digest that the registry proxy can serve gets no advice to install it", async () => {
  const keep = [`gcr.io/a/b@sha256:${"0".repeat(64)}`];
  const advice = async (redirected: ReadonlySet<string>) => {
    const [finding] = await keptCheck(checkContext({ keep, redirected }));
    return finding?.remedy ?? "";
  };
  assertStringIncludes(await advice(new Set()), "gilly-setup --proxy");
  assertStringIncludes(await advice(new Set(["gcr.io"])), "pulls of gcr.io are led to the registry proxy");
});
