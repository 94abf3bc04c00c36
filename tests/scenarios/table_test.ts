import { assertEquals, assertThrows } from "@std/assert";
import { type ScenarioRow, tableOf, withSection } from "./table.ts";

const row = (changes: Partial<ScenarioRow>): ScenarioRow => ({
  subject: "Docker",
  what: "killed",
  means: "real",
  holds: "it lives",
  result: "passed",
  seconds: 1.26,
  ...changes,
});

Deno.test("a table has real rows first, is sorted, and counts what passed, failed and was not run", () => {
  const rows = [
    row({ means: "stand-in", what: "a" }),
    row({ what: "b|c\nd", result: "failed" }),
    row({ subject: "kubelet", result: "not run", seconds: 0 }),
  ];
  const lines = tableOf(rows, "2020-05-16").split("\n");
  assertEquals(lines.slice(2), [
    "| Docker | b\\|c d | real | it lives | failed | 1.3 |",
    "| Docker | a | stand-in | it lives | passed | 1.3 |",
    "| kubelet | killed | real | it lives | not run | 0.0 |",
    "",
    "Last run 2020-05-16: 1 passed, 1 FAILED, 1 not run because a requirement is missing.",
  ]);
});

Deno.test("a section is replaced between its markers, and a page without them is refused", () => {
  const page = "# a\n<!-- load: begin -->\nold\n<!-- load: end -->\nrest";
  assertEquals(
    withSection(page, "load", "new"),
    "# a\n<!-- load: begin -->\n\nnew\n\n<!-- load: end -->\nrest",
  );
  assertThrows(() => withSection(page, "soak", "new"), TypeError, "soak: begin");
});
