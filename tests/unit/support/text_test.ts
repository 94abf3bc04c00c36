// Tests lib/support/text.ts: how texts are wrapped, indented, counted and truncated.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { counted, hangingIndent, several, wrap } from "../../../lib/support/text.ts";

/** A text, a width, and the resulting lines. */
const WRAPPED: readonly (readonly [string, number, readonly string[]])[] = [
  ["", 10, [""]],
  ["short", 10, ["short"]],
  ["two words", 5, ["two", "words"]],
  ["gcr.io/a/b:1", 8, ["gcr.io/", "a/b:1"]],
  ["nomarksinthis", 5, ["nomar", "ksint", "his"]],
  ["a-very-long-pod-name-7d9c", 12, ["a-very-long-", "pod-name-", "7d9c"]],
];

for (const [text, width, lines] of WRAPPED) {
  Deno.test(`${JSON.stringify(text)} wraps at ${width} characters`, () => assertEquals(wrap(text, width), [...lines]));
}

Deno.test("no line is longer than the width, and only spaces are lost", () => {
  fc.assert(fc.property(fc.string({ maxLength: 200 }), fc.integer({ min: 1, max: 40 }), (text, width) => {
    const lines = wrap(text, width);
    assert(lines.every((line) => line.length <= width));
    assertEquals(lines.join("").replace(/\s/g, ""), text.replace(/\s/g, ""));
  }));
});

Deno.test("a wrapped text has a hanging indent, and is one line without a width", () => {
  assertEquals(hangingIndent("ab ", "cd ef", 5), ["ab cd", "   ef"]);
  assertEquals(hangingIndent("ab ", "cd ef", undefined), ["ab cd ef"]);
});

Deno.test("a long list ends with the number of items left out", () => {
  assertEquals([several(["a", "b", "c"]), several(["a", "b", "c", "d"])], ["a, b, c", "a, b, c and 1 more"]);
});

Deno.test("one is counted without an s", () => {
  assertEquals([0, 1, 2].map((count) => counted(count, "pod")), ["0 pods", "1 pod", "2 pods"]);
});
