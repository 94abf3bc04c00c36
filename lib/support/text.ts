// Makes any text harmless on a terminal and in a line of a log: what moves the cursor, ends the line or turns the reading
// direction is shown, not done.

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
