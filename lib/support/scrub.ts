// Takes secrets out of what libraries, the kubelet, the Engine and registries say: some quote what they were given, and
// their words end in a journal that more people read than may read the secret.

import { describeError } from "./errors.ts";

/** Shorter ones are no secrets, and taking them out would garble every text. */
const SHORTEST_SECRET = 4;

/** `text` with an ellipsis in place of every secret, in each form in which it may be quoted, and of one cut off at its end. */
export function scrub(text: string, secrets: readonly string[]): string {
  const forms = [...new Set(secrets.flatMap(formsOf))].filter((form) => form.length >= SHORTEST_SECRET)
    // One may be the beginning of another.
    .sort((left, right) => right.length - left.length);
  return forms.reduce((rest, form) => withoutCutForm(rest.replaceAll(form, "…"), form), text);
}

/** The error, or one with the same words but for the secrets where it, or a cause of it, has one. */
export function scrubError(error: unknown, secrets: readonly string[]): unknown {
  const said = describeError(error);
  const scrubbed = scrub(said, secrets);
  return said === scrubbed ? error : new Error(scrubbed);
}

/** A word longer than this tells nobody anything, and what follows would look at it from each of its letters on. */
const LONG_WORD = /\S{500,}/g;

/**
 * `text` without what looks like a secret, where no secret is known that could be looked for: a password in a URL, a token
 * or a PEM block. The last gate before a text that quotes what somebody wrote.
 */
export function scrubUnknown(text: string): string {
  return text
    .replace(LONG_WORD, "***")
    .replace(/\/\/\S*@/g, "//***@")
    .replace(/[^\s/"':@]+:[^\s"'@]+@(?!sha(?:256|384|512):)/g, "***@")
    .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, "***")
    .replace(/-----BEGIN [A-Z ]+-----.*/gs, "***");
}

/** As it is, on one line, as JSON and Go quote it, in a URL, and without the padding of base64. */
function formsOf(secret: string): string[] {
  const quoted = JSON.stringify(secret).slice(1, -1);
  return [secret, ...linesOf(secret), quoted, quoted.replaceAll("\\u00", "\\x"), encodeURIComponent(wellFormed(secret))]
    .flatMap((form) => [form, form.trim(), form.replace(/=+$/, "")]);
}

/** As errors and messages of the Engine are made one line. */
function linesOf(secret: string): string[] {
  // deno-lint-ignore no-control-regex
  return [secret.replace(/[\s\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " "), secret.replace(/\s*[\r\n]+\s*/g, "; ")];
}

/** Half a surrogate pair cannot stand in a URL, and is replaced wherever a text becomes bytes. */
function wellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

// Long texts are cut, and show that by an ellipsis at their end.
function withoutCutForm(text: string, form: string): string {
  if (!text.endsWith("…")) return text;
  const kept = text.slice(0, -1);
  for (let length = Math.min(form.length - 1, kept.length); length >= SHORTEST_SECRET; length--) {
    if (kept.endsWith(form.slice(0, length))) return `${kept.slice(0, -length)}…`;
  }
  return text;
}
