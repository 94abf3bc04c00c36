// Text for people: wrapped, counted, shortened, and made safe for terminals and log lines.
// Characters that move the cursor, end the line or change the text direction are escaped.

import { levenshteinDistance } from "@std/text/levenshtein-distance";

/** Longer texts are cut: a name from a pod may be a megabyte. */
const LONGEST_TEXT = 2000;

/**
 * The most characters of the text of a log entry, and of each of its fields, above the level debug:
 * with priority and tag a line of the journal stays below 500.
 */
export const LONGEST_ENTRY = 480;

// deno-lint-ignore no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u00a0\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * Returns equivalent JSON that has no effect on a terminal; JSON.stringify escapes only some of the
 * control characters. With `indent`, the parts are on separate lines.
 */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(
    /[\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    escaped,
  );
}

/**
 * Escapes control characters, those that terminals and viewers treat as line ends or direction
 * changes, and those that nobody sees, and cuts long texts.
 */
export function printable(text: string): string {
  const cut = text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}… (${text.length} characters)` : text;
  return cut.replace(UNPRINTABLE, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\t") return " ";
    return escaped(character);
  });
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/**
 * Nothing longer is a typo, and the time to compare two texts is proportional to the product of
 * their lengths.
 */
const LONGEST_SLIP = 300;

/**
 * Returns the known word nearest to `written`, ignoring case, hyphens and underscores, or undefined
 * if none is close.
 */
export function nearestWord(written: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.slice(0, LONGEST_SLIP).toLowerCase().replace(/[-_]/g, "");
  const distances = known.map((word) => ({ word, distance: levenshteinDistance(plain(written), plain(word)) }));
  const best = distances.sort((left, right) => left.distance - right.distance)[0];
  return best !== undefined && best.distance <= Math.max(2, best.word.length / 3) ? best.word : undefined;
}

/** Quotes a text on one line, cut to `most` characters, for a sentence about input. */
export function quote(text: string, most = 80): string {
  return JSON.stringify(text.length > most ? `${text.slice(0, most - 1)}…` : text);
}

/**
 * Wraps a text to lines of at most `width` characters, between words, or after / @ : - _ . in a
 * long name.
 */
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

/**
 * Puts a text after `head` and wraps it at `width` columns with a hanging indent; one line if there
 * is no width.
 */
export function hangingIndent(head: string, text: string, width: number | undefined): string[] {
  if (width === undefined) return [head + text];
  const [first = "", ...rest] = wrap(text, width - head.length);
  return [head + first, ...rest.map((line) => " ".repeat(head.length) + line)];
}

/** A count with its noun: `1 pod`, `2 pods`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** The first items of a list, and how many more there are. */
export function several(items: readonly string[], most = 3): string {
  const more = items.length - most;
  return items.slice(0, most).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** Shortens a text to `most` characters at most, between words, with `…` in place of the rest. */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  const space = text.lastIndexOf(" ", most - 1);
  // A long word is cut, and never within a character of two code units.
  const cut = space > most / 2 ? space : most - 1;
  return `${text.slice(0, cut).replace(/[\ud800-\udbff]$/, "").replace(/[\s,;:]+$/, "")}…`;
}

/**
 * Shortens a chain of causes, `a: b: c`, to `most` characters at most: the last part is the reason, and
 * stays if it can.
 */
export function shortenedChain(text: string, most: number): string {
  const last = text.search(/: (?!https?:)(?!.*: (?!https?:))/s);
  const reason = text.slice(last);
  if (text.length <= most || last < 0 || reason.length > most * 0.75) return shortened(text, most);
  return shortened(text.slice(0, last), most - reason.length) + reason;
}

/** Shortens a text to `most` characters at most, with `…` inside: both its beginning and its end stay. */
export function shortenedInside(text: string, most: number): string {
  if (text.length <= most) return text;
  const start = shortened(text, Math.floor(most * 0.4));
  const end = text.slice(text.length - (most - start.length - 1));
  return `${start} ${end.slice(end.indexOf(" ") + 1).replace(/^[\udc00-\udfff]/, "")}`;
}

/**
 * Removes what a chain of causes says again: a part with which a part before it ends, and words that
 * follow themselves.
 */
export function folded(text: string): string {
  const kept: string[] = [];
  for (const part of text.split(": ")) {
    const plain = part.trim().toLowerCase();
    if (plain === "" || !kept.some((before) => endsInWords(before.toLowerCase(), plain))) kept.push(part);
  }
  return kept.join(": ").replace(/(?<![^\s"(])(\S{1,80}(?: \S{1,80}){1,40}?)(?:[\s,;:.-]+\1)+(?![^\s").,;:])/g, "$1");
}

function endsInWords(text: string, words: string): boolean {
  return text.endsWith(words) && !/[\p{L}\p{N}]$/u.test(text.slice(0, -words.length));
}

/** Returns the words of a text that quotes a web page, without its tags and styles; another text as it is. */
export function wordsOfPage(text: string): string {
  if (!/<(?:!doctype|html|head|body|title)\b/i.test(text)) return text;
  return text
    .replace(/<!--[^]*?(?:-->|$)|<(style|script)\b[^]*?(?:<\/\1>|$)/gi, "<br>")
    // A page is quoted as Go quotes it, with escaped ends of lines.
    .replace(/\\[nrt]/g, " ")
    .replace(/"\s*<[a-z!/][^<>]*>(?:\s|<[a-z!/][^<>]*>)*/gi, '"')
    .replace(/(?:\s|<[a-z!/][^<>]*>)*<[a-z!/][^<>]*>\s*"/gi, '"')
    .replace(/<[a-z!/][^<>]*(?:>|$)/gi, " ")
    .replace(/\s+/g, " ")
    .trim();
}
