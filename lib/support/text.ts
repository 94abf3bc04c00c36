// Text for people: made harmless on a terminal and in a line of a log, where what moves the cursor, ends the line or turns
// the reading direction is shown, not done; folded, counted, and the word that somebody meant.

import { levenshteinDistance } from "@std/text/levenshtein-distance";

/** Longer texts are cut: a name from a pod may be a megabyte. */
const LONGEST_TEXT = 2000;

/**
 * JSON of the same meaning in which nothing acts on a terminal: JSON itself escapes only some of the control characters.
 * With `indent` it has line ends between its parts.
 */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    escaped,
  );
}

/** Control characters, and what terminals and viewers take for line ends or direction changes, made visible. */
export function printable(text: string): string {
  const cut = text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}… (${text.length} characters)` : text;
  // deno-lint-ignore no-control-regex
  return cut.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\t") return " ";
    return escaped(character);
  });
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Nothing longer is a slip of the pen, and the distance of two texts takes the time of the product of their lengths. */
const LONGEST_SLIP = 300;

/** The known word nearest to `written`, capitals, hyphens and underscores aside; undefined when none is near. */
export function nearestWord(written: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.slice(0, LONGEST_SLIP).toLowerCase().replace(/[-_]/g, "");
  const distances = known.map((word) => ({ word, distance: levenshteinDistance(plain(written), plain(word)) }));
  const best = distances.sort((left, right) => left.distance - right.distance)[0];
  return best !== undefined && best.distance <= Math.max(2, best.word.length / 3) ? best.word : undefined;
}

/** A text in quotes, on one line, cut to `most` characters: for a sentence about what somebody wrote. */
export function quote(text: string, most = 80): string {
  return JSON.stringify(text.length > most ? `${text.slice(0, most - 1)}…` : text);
}

/** Cuts a text into lines of at most `width` characters: between words, or behind / @ : - _ . of a long name. */
export function wrap(text: string, width: number): string[] {
  const room = Math.max(1, width);
  const lines: string[] = [];
  let rest = text;
  while (rest.length > room) {
    const cut = cutAt(rest, room);
    lines.push(rest.slice(0, cut).trimEnd());
    rest = rest.slice(cut).trimStart();
  }
  return [...lines, rest];
}

function cutAt(text: string, room: number): number {
  const space = text.lastIndexOf(" ", room);
  if (space > 0) return space;
  for (const marks of [/[/@]/, /:/, /[_.-]/]) {
    for (let at = room; at > room / 2; at--) if (marks.test(text[at - 1]!)) return at;
  }
  return room;
}

/** A text behind `head`, folded at `width` columns so that it hangs below itself; one line without a width. */
export function hangingIndent(head: string, text: string, width: number | undefined): string[] {
  if (width === undefined) return [head + text];
  const [first = "", ...rest] = wrap(text, width - head.length);
  return [head + first, ...rest.map((line) => " ".repeat(head.length) + line)];
}

/** `1 pod`, `2 pods`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** The first few of a list, and how many more there are. */
export function several(items: readonly string[], most = 3): string {
  const more = items.length - most;
  return items.slice(0, most).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
