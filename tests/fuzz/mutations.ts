// Damaged inputs: captures and examples with random changes.

import fc from "fast-check";

/** Texts that often break parsers. */
const HOSTILE_TEXTS = [
  "",
  "\0",
  "\r",
  "\n",
  "\u2028",
  "\u{1f40b}",
  "\ud800",
  "\x1b[2J",
  "..",
  "//",
  "@sha256:",
  ":",
  "__proto__",
  "constructor",
  "null",
  "{}",
  "[",
  '"',
  "'",
  "\\",
  "&a [*a]",
  "- ",
  "? ",
  ": ",
  "|\n",
  "%",
  "\ufeff",
  "1e999",
  "-0",
  "9".repeat(40),
] as const;

/** Replacements for a JSON value. */
const HOSTILE_VALUES: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, -1, 1.5, 1e308, [], {}, [[]], [null], { name: null }),
  fc.constantFrom<unknown>(...HOSTILE_TEXTS),
  fc.constant("x".repeat(100_000)),
  fc.constant(nested(300)),
  fc.jsonValue({ maxDepth: 3 }),
);

/** Generates seeds with a few cuts, copies, insertions, truncations and splices. */
export function mutatedText(seeds: readonly string[]): fc.Arbitrary<string> {
  const place = fc.double({ min: 0, max: 1, noNaN: true });
  const edit = fc.oneof(
    fc.record({ kind: fc.constant("cut" as const), from: place, length: fc.nat(40) }),
    fc.record({ kind: fc.constant("copy" as const), from: place, length: fc.nat(200), times: fc.nat(50) }),
    fc.record({ kind: fc.constant("insert" as const), from: place, text: hostileText() }),
    fc.record({ kind: fc.constant("truncate" as const), from: place }),
    fc.record({ kind: fc.constant("splice" as const), from: place, other: fc.constantFrom(...seeds) }),
  );
  type Edit = typeof edit extends fc.Arbitrary<infer Kind> ? Kind : never;
  const apply = (text: string, change: Edit): string => {
    const at = Math.floor(change.from * text.length);
    const [before, after] = [text.slice(0, at), text.slice(at)];
    switch (change.kind) {
      case "cut":
        return before + after.slice(change.length);
      case "copy":
        return before + after.slice(0, change.length).repeat(change.times) + after;
      case "insert":
        return before + change.text + after;
      case "truncate":
        return before;
      case "splice":
        return before + change.other.slice(Math.floor(change.from * change.other.length));
    }
  };
  return fc.tuple(fc.constantFrom(...seeds), fc.array(edit, { minLength: 1, maxLength: 6 }))
    .map(([seed, edits]) => edits.reduce(apply, seed).slice(0, MOST_CHARACTERS));
}

/** Generates JSON seeds with a few nodes replaced. */
export function mutatedJson(seeds: readonly unknown[]): fc.Arbitrary<unknown> {
  const change = fc.record({ node: fc.nat(), value: HOSTILE_VALUES });
  return fc.tuple(fc.constantFrom(...seeds), fc.array(change, { minLength: 1, maxLength: 8 })).map(
    ([seed, changes]) => {
      let value = structuredClone(seed);
      for (const { node, value: replacement } of changes) value = withNodeReplaced(value, node, replacement);
      return value;
    },
  );
}

/** Generates mutated texts as bytes, some of them overwritten, so that they may not be UTF-8. */
export function mutatedBytes(seeds: readonly string[]): fc.Arbitrary<Uint8Array> {
  const flip = fc.record({ at: fc.nat(), byte: fc.nat(255) });
  return fc.tuple(mutatedText(seeds), fc.array(flip, { maxLength: 4 })).map(([text, flips]) => {
    const bytes = new TextEncoder().encode(text);
    for (const { at, byte } of flips) if (bytes.length > 0) bytes[at % bytes.length] = byte;
    return bytes;
  });
}

/** Generates mutated bytes of seeds that are no text. */
export function mutatedBinary(seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const latin1 = seeds.map((seed) => String.fromCharCode(...seed));
  const flip = fc.record({ at: fc.nat(), byte: fc.nat(255) });
  return fc.tuple(mutatedText(latin1), fc.array(flip, { maxLength: 4 })).map(([text, flips]) => {
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    for (const { at, byte } of flips) if (bytes.length > 0) bytes[at % bytes.length] = byte;
    return bytes;
  });
}

/** Generates strings of any kind, including hostile ones. */
export function hostileText(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom(...HOSTILE_TEXTS),
    fc.string({ unit: "binary", maxLength: 30 }),
    fc.string({ maxLength: 300 }),
    fc.tuple(fc.constantFrom(...HOSTILE_TEXTS, "a", "-", "_", ".", "/", "a/", "a-"), fc.nat(20_000))
      .map(([text, times]) => text.repeat(times).slice(0, MOST_CHARACTERS)),
  );
}

/** The maximum length of an input. */
const MOST_CHARACTERS = 400_000;

function nested(depth: number): unknown {
  let value: unknown = [];
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? { a: value } : [value];
  return value;
}

/** Returns the value with node number `index`, modulo the number of nodes, replaced. */
function withNodeReplaced(value: unknown, index: number, replacement: unknown): unknown {
  const places: { readonly parent: Record<string, unknown>; readonly key: string }[] = [];
  const visit = (node: unknown) => {
    if (typeof node !== "object" || node === null || places.length > MOST_NODES) return;
    const parent = node as Record<string, unknown>;
    for (const key of Object.keys(parent)) {
      places.push({ parent, key });
      visit(parent[key]);
    }
  };
  visit(value);
  const place = places[index % Math.max(1, places.length)];
  if (place === undefined) return replacement;
  // A replacement used twice could contain itself: a cycle, which JSON cannot have.
  place.parent[place.key] = structuredClone(replacement);
  return value;
}

const MOST_NODES = 20_000;
