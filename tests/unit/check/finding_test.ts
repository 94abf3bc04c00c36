// Tests lib/check/finding.ts: findings as lines, and the worst verdict among them.

import { assertEquals } from "@std/assert";
import { fail, ok, renderFindings, warn, worstOf } from "../../../lib/check/finding.ts";

Deno.test("findings are printed unwrapped for grep and wrapped for a terminal, with the totals below", () => {
  const findings = [ok("a", "fine"), warn("b", "it is not quite as it should be", "do this and that"), fail("c", "no")];
  assertEquals(
    renderFindings(findings, undefined),
    "ok    a: fine\nwarn  b: it is not quite as it should be\n      → do this and that\nfail  c: no\n\n1 ok, 1 warn, 1 fail\n",
  );
  assertEquals(renderFindings(findings.slice(1, 2), 24).split("\n").slice(0, 4), [
    "warn  b: it is not quite",
    "      as it should be",
    "      → do this and that",
    "",
  ]);
  assertEquals(
    [worstOf(findings), worstOf(findings.slice(0, 2)), worstOf([])],
    ["fail", "warn", "ok"],
  );
});
