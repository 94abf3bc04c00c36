// Text for people: made harmless on a terminal and in a line of a log, where what moves the cursor, ends the line or turns
// the reading direction is shown, not done; and the word that somebody meant.

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
