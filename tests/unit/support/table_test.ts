import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { naturalWidth, type Sheet, sheetLines, wrap } from "../../../lib/support/table.ts";

const SHEET: Sheet = {
  titles: ["STATE", "POD", "IMAGE"],
  rows: [
    { cells: ["waiting", "default/app", "gcr.io/a:1"], note: "a note" },
    { cells: ["repaired", "kube-system/other", "quay.io/team/a-rather-long-name/with/a/path:1.2.3"] },
  ],
  yields: [2],
  notesBelow: 1,
};

Deno.test("columns that fit are as wide as their texts, with notes below", () => {
  assertEquals(sheetLines(SHEET, naturalWidth(SHEET)), [
    "STATE     POD                IMAGE",
    "waiting   default/app        gcr.io/a:1",
    "          a note",
    "repaired  kube-system/other  quay.io/team/a-rather-long-name/with/a/path:1.2.3",
  ]);
});

Deno.test("a column that yields goes on in the next line, behind a mark of the name", () => {
  assertEquals(sheetLines(SHEET, 62).slice(3), [
    "repaired  kube-system/other  quay.io/team/a-rather-long-name/",
    "                             with/a/path:1.2.3",
  ]);
});

Deno.test("control characters of a cell are shown, not done", () => {
  const lines = sheetLines({ ...SHEET, rows: [{ cells: ["a\x1b[2J", "b\nc", "d"], note: "e\rf" }] }, 80);
  assertEquals(lines.slice(1), ["a\\u001b[2J  b\\nc  d", "            e\\u000df"]);
});

/** A text, a width, and the lines. */
const WRAPPED: readonly (readonly [string, number, readonly string[]])[] = [
  ["", 10, [""]],
  ["short", 10, ["short"]],
  ["two words", 5, ["two", "words"]],
  ["gcr.io/a/b:1", 8, ["gcr.io/", "a/b:1"]],
  ["nomarksinthis", 5, ["nomar", "ksint", "his"]],
  ["a-very-long-pod-name-7d9c", 12, ["a-very-long-", "pod-name-", "7d9c"]],
];

for (const [text, width, lines] of WRAPPED) {
  Deno.test(`${JSON.stringify(text)} in ${width} characters`, () => assertEquals(wrap(text, width), [...lines]));
}

Deno.test("no line is longer than the width, and nothing but spaces is lost", () => {
  fc.assert(fc.property(fc.string({ maxLength: 200 }), fc.integer({ min: 1, max: 40 }), (text, width) => {
    const lines = wrap(text, width);
    assert(lines.every((line) => line.length <= width));
    assertEquals(lines.join("").replace(/\s/g, ""), text.replace(/\s/g, ""));
  }));
});
