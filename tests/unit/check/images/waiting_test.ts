// Tests lib/check/images/waiting.ts: which waiting pods are worth a warning.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkWaiting } from "../../../../lib/check/images/waiting.ts";

Deno.test("waiting pods are a warning only if one of them is neither excluded nor repairable", () => {
  const left = (reason: "excluded" | "no-rule", podName: string) => ({ pod: podName, reason, advice: `do ${reason}` });
  assertEquals(checkWaiting(3, 0, []).verdict, "ok");
  assertEquals(checkWaiting(3, 2, [left("excluded", "a/b")]).verdict, "ok");
  const lost = checkWaiting(3, 2, [left("excluded", "a/b"), left("no-rule", "a/c"), left("no-rule", "a/c")]);
  assertEquals([lost.verdict, lost.remedy], ["warn", "do no-rule"]);
  assertStringIncludes(lost.message, "1 of them excluded; cannot be repaired: a/c (no-rule)");
});
