// Tests lib/support/text.ts: how texts are wrapped, indented, counted and truncated.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  counted,
  folded,
  hangingIndent,
  several,
  shortened,
  shortenedChain,
  shortenedInside,
  wordsOfPage,
  wrap,
} from "../../../lib/support/text.ts";

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

Deno.test("a shortened text ends between words, or within a long one, and is never longer", () => {
  assertEquals(shortened("one two three", 13), "one two three");
  assertEquals(shortened("one two three", 12), "one two…");
  assertEquals(shortened("one two, three", 9), "one two…");
  assertEquals(shortened(`one ${"x".repeat(20)}`, 12), "one xxxxxxx…");
  assertEquals(shortened("🚀🚀🚀", 4), "🚀…");
  fc.assert(fc.property(fc.string({ maxLength: 100 }), fc.integer({ min: 1, max: 60 }), (text, most) => {
    assert(shortened(text, most).length <= most);
    assert(shortenedChain(text, most).length <= most);
    assert(most < 3 || shortenedInside(text, most).length <= most);
  }));
});

Deno.test("a text that is shortened inside keeps its beginning and its end", () => {
  assertEquals(shortenedInside("one two three four five six", 27), "one two three four five six");
  assertEquals(shortenedInside("one two three four five six", 20), "one two… five six");
});

Deno.test("a shortened chain of causes keeps its reason, with the URL that belongs to it", () => {
  assertEquals(shortenedChain("cannot do this, that and more: no space left", 30), "cannot do…: no space left");
  assertEquals(
    shortenedChain("first: second third: see: https://a.example", 38),
    "first: second…: see: https://a.example",
  );
  assertEquals(shortenedChain("a b c: the reason is longer than all", 20), "a b c: the reason…");
});

/** A chain of causes, and what is left of it. */
const CHAINS: readonly (readonly [string, string])[] = [
  ["a", "a"],
  ["a: a", "a"],
  ["a: b: a: b", "a: b"],
  ["x is not found: not found", "x is not found"],
  ["x was found: not found", "x was found: not found"],
  ["unfound: found", "unfound: found"],
  ["Denied: denied", "Denied"],
  ["403 Forbidden 403 Forbidden nginx", "403 Forbidden nginx"],
  ["it is gone. it is gone. it is gone.", "it is gone."],
  ["very very good", "very very good"],
  ["", ""],
];

for (const [chain, left] of CHAINS) {
  Deno.test(`of ${JSON.stringify(chain)} each part is told once`, () => assertEquals(folded(chain), left));
}

Deno.test("a page of a web server is its words", () => {
  const page =
    '"<html>\\n<head><style>a { }</style><title>Sign in</title></head><body class=\\"x\\">Please <b>sign in</b></body>"';
  assertEquals(wordsOfPage(`a '<' in ${page}`), "a '<' in \"Sign in Please sign in\"");
  assertEquals(wordsOfPage("a < b and c > d"), "a < b and c > d");
});
