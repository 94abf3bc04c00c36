import { assertEquals } from "@std/assert";
import { naturalWidth, type Table, tableLines } from "../../../lib/support/table.ts";

const TABLE: Table = {
  titles: ["STATE", "POD", "IMAGE"],
  rows: [
    { cells: ["waiting", "default/app", "gcr.io/a:1"], note: "a note" },
    { cells: ["repaired", "kube-system/other", "quay.io/team/a-rather-long-name/with/a/path:1.2.3"] },
  ],
  shrinkable: [2],
  noteColumn: 1,
};

Deno.test("columns that fit are as wide as their texts, with notes below", () => {
  assertEquals(tableLines(TABLE, naturalWidth(TABLE)), [
    "STATE     POD                IMAGE",
    "waiting   default/app        gcr.io/a:1",
    "          a note",
    "repaired  kube-system/other  quay.io/team/a-rather-long-name/with/a/path:1.2.3",
  ]);
});

Deno.test("a shrinkable column continues on the next line, after a separator of the name", () => {
  assertEquals(tableLines(TABLE, 62).slice(3), [
    "repaired  kube-system/other  quay.io/team/a-rather-long-name/",
    "                             with/a/path:1.2.3",
  ]);
});

Deno.test("control characters of a cell are shown as escapes", () => {
  const lines = tableLines({ ...TABLE, rows: [{ cells: ["a\x1b[2J", "b\nc", "d"], note: "e\rf" }] }, 80);
  assertEquals(lines.slice(1), ["a\\u001b[2J  b\\nc  d", "            e\\u000df"]);
});
