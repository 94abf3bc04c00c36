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

Deno.test("a next step with a line of shell is never wrapped, since it would not be the same line when copied", () => {
  const wrapped = (remedy: string) => renderFindings([fail("a", "b", remedy)], 24).split("\n")[1];
  for (
    const remedy of [
      "create it: printf '%s' 'USER:PASSWORD' | base64 -w0",
      "convert it: c=$(iconv -f UTF-16 FILE) ; echo",
      "let it: chgrp gilly FILE && chmod g+r FILE",
      "write it: cat /some/where/else >FILE",
    ]
  ) assertEquals(wrapped(remedy), `      → ${remedy}`);
  assertEquals(wrapped("raise a.b to a value > 5, please"), "      → raise a.b to a");
});
