// Tests lib/config/positions.ts with the ways in which people lay out YAML.

import { assert, assertEquals } from "@std/assert";
import { parse } from "@std/yaml";
import fc from "fast-check";
import { CST, Document, LineCounter, Parser } from "yaml";
import { type KeyStep, locateKeys } from "../../../lib/config/positions.ts";

/** A layout, and the line of each key in it. */
interface Case {
  readonly name: string;
  readonly text: string;
  readonly lines: readonly (readonly [path: readonly KeyStep[], line: number | undefined])[];
}

const CASES: readonly Case[] = [
  {
    name: "block mappings, by indentation",
    text: "a:\n  b:\n    c: 1\n  d: 2\ne: 3\n",
    lines: [[["a"], 1], [["a", "b"], 2], [["a", "b", "c"], 3], [["a", "d"], 4], [["e"], 5]],
  },
  {
    name: "equal names at several depths",
    text: "url: 1\nkubelet:\n  url: 2\ndocker:\n  url: 3\n",
    lines: [[["url"], 1], [["kubelet", "url"], 3], [["docker", "url"], 5]],
  },
  {
    name: "block sequences, indented or not",
    text: "a:\n- x\n-\n  y\nb:\n  - x\n\n  - k: 1\n    l: 2\nc: 3\n",
    lines: [
      [["a", 0], 2],
      [["a", 1], 3],
      [["b"], 5],
      [["b", 0], 6],
      [["b", 1], 8],
      [["b", 1, "l"], 9],
      [["c"], 10],
    ],
  },
  {
    name: "sequences of sequences",
    text: "a:\n  - - x\n    - y\n  - z\n",
    lines: [[["a", 0, 1], 3], [["a", 1], 4]],
  },
  {
    name: "flow collections on one line",
    text: "a: 1\nb: {c: [x, y], 'd': {e: 1}}\nf: [1, {g: 2}]\n",
    lines: [[["b", "c", 1], 2], [["b", "d", "e"], 2], [["f"], 3], [["f", 1, "g"], 3]],
  },
  {
    name: "flow collections on several lines",
    text: "a: {\n  b: 1,\n  # c: 0\n  c: [\n    x,\n    y\n  ],\n  d: {e:\n    1}}\nf: 2\n",
    lines: [[["a", "b"], 2], [["a", "c"], 4], [["a", "c", 0], 5], [["a", "c", 1], 6], [["a", "d", "e"], 8], [
      ["f"],
      10,
    ]],
  },
  {
    name: "JSON",
    text: '{\n  "a": {"b":1,\n    "c": ["x:1",\n "y"]},\n  "d": null\n}\n',
    lines: [[["a", "b"], 2], [["a", "c"], 3], [["a", "c", 1], 4], [["d"], 5]],
  },
  {
    name: "quoted keys, colons and hashes in names",
    text: '"*.pkg.dev": 1\n\'it\'\'s\': 2\n"a\\"b": 3\nmirror:5000: 4\na#b: 5\ntwo words : 6\n',
    lines: [
      [["*.pkg.dev"], 1],
      [["it's"], 2],
      [['a"b'], 3],
      [["mirror:5000"], 4],
      [["a#b"], 5],
      [["two words"], 6],
    ],
  },
  {
    name: "comments that look like keys",
    text: "# a: 0\na: 1 # b: 0\n  # c: 0\n\nb: # d: 0\n  c: 2\n",
    lines: [[["a"], 2], [["b"], 5], [["b", "c"], 6], [["c"], undefined]],
  },
  {
    name: "block scalars whose lines look like keys",
    text: "a: |\n  b: 0\n  # no comment\n\n  - c\nb: >-\n   c: 0\nc:\n  - |2\n    d: 0\n  - x\nd: 1\n",
    lines: [[["b"], 6], [["c"], 8], [["c", 1], 11], [["d"], 12]],
  },
  {
    name: "multi-line strings",
    text: "a: \"x\n  b: 0\n\n  y\"\nb: 'z\n\n  c: 0'\nc: plain\n  goes on\nd: 1\n",
    lines: [[["b"], 5], [["c"], 8], [["d"], 10]],
  },
  {
    name: "anchors, tags and aliases",
    text: "a: &one\n  b: 1\nc: &two {d: 1}\n&three e: !!str x\nf: *one\ng: !!map\n  h: 1\n",
    lines: [[["a", "b"], 2], [["c", "d"], 3], [["e"], 4], [["f", "b"], 5], [["g", "h"], 7]],
  },
  {
    name: "keys without values",
    text: "a:\nb:\n\n  c:\nd:\n",
    lines: [[["a"], 1], [["b"], 2], [["b", "c"], 4], [["d"], 5]],
  },
  {
    name: "directives, document markers, a byte order mark and Windows line endings",
    text: "\uFEFF%YAML 1.2\r\n# x\r\n---\r\na: 1\r\nb:\r\n  - c\r\n",
    lines: [[["a"], 4], [["b", 0], 6]],
  },
  {
    name: "missing keys, as those of the nearest enclosing key",
    text: "a:\n  b: [x]\n",
    lines: [[["a", "z"], 1], [["a", "b", 7], 2], [["a", "b", 0, "c"], 2], [["z", "a"], undefined], [[], undefined]],
  },
];

for (const { name, text, lines } of CASES) {
  Deno.test(`lines are found for ${name}`, () => {
    parse(text, { schema: "core" });
    const lineOf = locateKeys(text);
    assertEquals(lines.map(([path]) => [path, lineOf(path)]), lines.map(([path, line]) => [path, line]));
  });
}

Deno.test("any text is read to its end, and every line found is within it", () => {
  const piece = fc.oneof(
    fc.constantFrom(..."{}[],:#-?&*!|>'\"%@ \t\n"),
    fc.constantFrom("a: ", "\n  ", "- ", "\n- b:", "|\n", '"k": ', "&x ", "---\n"),
    fc.string({ maxLength: 4 }),
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 60 }),
      fc.array(fc.constantFrom<KeyStep>("a", "b", "k", 0, 1)),
      (parts, path) => {
        const text = parts.join("");
        const line = locateKeys(text)(path);
        const last = text.split(/\r\n?|\n/).length;
        assert(line === undefined || (line >= 1 && line <= last), `line ${line} of ${last}`);
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("every key of a random document is found on the line where it was written", () => {
  const key = fc.stringMatching(/^[a-z][a-z0-9.]{0,6}$/);
  const leaf = fc.constantFrom("1", "text", '"quoted: x"', "'#no'", "[a, b]", "{x: 1}", "|\n      block: 0", "");
  const document = fc.uniqueArray(
    fc.record({ key, below: fc.uniqueArray(fc.record({ key, leaf }), { selector: ({ key }) => key, maxLength: 4 }) }),
    { selector: ({ key }) => key, maxLength: 6 },
  );
  fc.assert(fc.property(document, (sections) => {
    const lines: string[] = [];
    const places: [KeyStep[], number][] = [];
    for (const section of sections) {
      places.push([[section.key], lines.push(`${section.key}: # comment: 0`)]);
      for (const { key, leaf } of section.below) {
        places.push([[section.key, key], lines.push(`  ${key}: ${leaf.split("\n")[0]}`)]);
        lines.push(...leaf.split("\n").slice(1), "");
      }
    }
    const lineOf = locateKeys(lines.join("\n"));
    for (const [path, line] of places) assertEquals(lineOf(path), line, `${path.join(".")} in\n${lines.join("\n")}`);
  }));
});

Deno.test("endless nesting and unclosed quotes neither overflow the stack nor take long", () => {
  const started = performance.now();
  for (const open of ["[", "{", "- ", '"', "a: [", "? ", "{a: "]) {
    assertEquals(locateKeys("x: 1\n" + open.repeat(50_000))(["x"]), 1);
  }
  assert(performance.now() - started < 5000);
});

Deno.test("a banner of # above the settings is parsed quickly", () => {
  const banner = `${"#".repeat(100_000)}\n${"# ".repeat(50_000)}\n`;
  const started = performance.now();
  assertEquals(locateKeys(`${banner}x: 1\n`)(["x"]), 3);
  assertEquals(locateKeys(`%YAML 1.2\n${banner}---\nx: 1\n`)(["x"]), 5);
  assert(performance.now() - started < 1000);
});

Deno.test("a long run of blanks is parsed quickly", () => {
  const started = performance.now();
  assertEquals(locateKeys(`y:\n  a${" ".repeat(100_000)}b\nx${" ".repeat(100_000)}: 1\n"z"  : 1\n`)(["x"]), 3);
  assertEquals(locateKeys(`"z" : 1\n'q'\t: 1\n`)(["q"]), 2);
  assert(performance.now() - started < 1000);
});

function readsAs(text: string, data: unknown): boolean {
  try {
    return JSON.stringify(parse(text, { schema: "core" })) === JSON.stringify(data);
  } catch {
    return false;
  }
}

/** Returns every path of a document with its line, according to the yaml package. */
function linesIn(text: string): (readonly [readonly KeyStep[], number])[] {
  const lines = new LineCounter();
  const found: (readonly [readonly KeyStep[], number])[] = [];
  const walk = (token: CST.Token | null | undefined, path: readonly KeyStep[]) => {
    if (token?.type !== "block-map" && token?.type !== "block-seq" && token?.type !== "flow-collection") return;
    const isSequence = token.type === "block-seq" || (token.type === "flow-collection" && token.start.source === "[");
    const items: readonly CST.CollectionItem[] = token.items;
    for (const [index, { start, key, value }] of items.entries()) {
      // What follows the last entry, such as a comment, is an entry without a key and a value.
      if (key === undefined && value === undefined) continue;
      const name = isSequence ? index : CST.resolveAsScalar(key as CST.FlowScalar, true)?.value;
      if (name === undefined) continue;
      const begin = start.find(({ type }) => type === "seq-item-ind") ?? key ?? value!;
      found.push([[...path, name], lines.linePos(begin.offset).line]);
      walk(value, [...path, name]);
    }
  };
  const [document] = [...new Parser(lines.addNewLine).parse(text)].filter(({ type }) => type === "document");
  walk((document as CST.Document | undefined)?.value, []);
  return found;
}

Deno.test("in any document that the yaml package writes, the lines are those that it reads", () => {
  // Keys that YAML can write only after a question mark are not generated.
  const key = fc.oneof(fc.stringMatching(/^[a-z][a-z0-9.:/*#-]{0,8}$/), fc.stringMatching(/^[!-~]{1,6}$/));
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.oneof(
        fc.string({ maxLength: 12 }),
        fc.constantFrom("a: b", "# no", "- x", "two\nlines\n", "\n"),
        fc.integer(),
      ),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(key, tie("value"), { maxKeys: 3 }),
    ),
  }));
  const layout = fc.record({
    lineWidth: fc.constantFrom(0, 20, 80),
    indentSeq: fc.boolean(),
    flowCollectionPadding: fc.boolean(),
    defaultStringType: fc.constantFrom("PLAIN" as const, "QUOTE_DOUBLE" as const, "QUOTE_SINGLE" as const),
    collectionStyle: fc.constantFrom("any" as const, "flow" as const),
    commentString: fc.constant((text: string) => text.replace(/^/gm, "# ")),
  });
  const comment = fc.option(fc.stringMatching(/^[a-z]: [a-z-]{1,5}$/), { nil: undefined });
  fc.assert(
    fc.property(fc.dictionary(key, value, { minKeys: 1, maxKeys: 4 }), layout, comment, (data, options, comment) => {
      const document = new Document(data);
      if (comment !== undefined) document.commentBefore = comment;
      const text = document.toString(options);
      // The writer omits the quotes around a few keys, such as `!`.
      fc.pre(readsAs(text, data));
      const lineOf = locateKeys(text);
      for (const [path, line] of linesIn(text)) assertEquals([path, lineOf(path)], [path, line], text);
    }),
    { numRuns: 2000 },
  );
});
