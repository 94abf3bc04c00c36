// Removes secrets from the messages of libraries, the kubelet, the Engine and registries. Some
// quote their input, and the messages end up in a journal that more people can read than may read
// the secret.

import { describeError } from "./errors.ts";

/** Shorter strings are not secrets, and removing them would garble every text. */
const SHORTEST_SECRET = 4;

/**
 * Returns `text` with an ellipsis in place of every secret, in each form in which it may be quoted,
 * and of a secret cut off at the end.
 */
export function scrub(text: string, secrets: readonly string[]): string {
  const forms = [...new Set(secrets.flatMap(formsOf))].filter((form) => form.length >= SHORTEST_SECRET)
    // Longest first: one may be a prefix of another.
    .sort((left, right) => right.length - left.length);
  return forms.reduce((rest, form) => withoutCutForm(rest.replaceAll(form, "…"), form), text);
}

/**
 * Returns the error, or, if it or one of its causes contains a secret, a new error with the same
 * text without the secrets.
 */
export function scrubError(error: unknown, secrets: readonly string[]): unknown {
  const said = describeError(error);
  const scrubbed = scrub(said, secrets);
  return said === scrubbed ? error : new Error(scrubbed);
}

/**
 * A longer word is useless to a reader, and the expressions below would try a match from each of
 * its characters.
 */
const LONG_WORD = /\S{500,}/g;

/**
 * Returns `text` without anything that looks like a secret, for use where the secrets are not
 * known: a password in a URL, a token or a PEM block. The last check of a text that quotes outside
 * input.
 */
export function scrubUnknown(text: string): string {
  return text
    .replace(LONG_WORD, "***")
    .replace(/\/\/\S*@/g, "//***@")
    .replace(/[^\s/"':@]+:[^\s"'@]+@(?!sha(?:256|384|512):)/g, "***@")
    .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, "***")
    .replace(/-----BEGIN [A-Z ]+-----.*/gs, "***");
}

/**
 * The secret as it is, on one line, as JSON and Go quote it, URL-encoded, and without base64
 * padding.
 */
function formsOf(secret: string): string[] {
  const quoted = JSON.stringify(secret).slice(1, -1);
  return [secret, ...linesOf(secret), quoted, quoted.replaceAll("\\u00", "\\x"), encodeURIComponent(wellFormed(secret))]
    .flatMap((form) => [form, form.trim(), form.replace(/=+$/, "")]);
}

/** The secret as errors and Engine messages are folded onto one line. */
function linesOf(secret: string): string[] {
  // deno-lint-ignore no-control-regex
  return [secret.replace(/[\s\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " "), secret.replace(/\s*[\r\n]+\s*/g, "; ")];
}

/**
 * Replaces lone surrogates, which a URL cannot contain and which are replaced whenever text is
 * encoded as bytes.
 */
function wellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

// A text that was cut ends in an ellipsis.
function withoutCutForm(text: string, form: string): string {
  if (!text.endsWith("…")) return text;
  const kept = text.slice(0, -1);
  for (let length = Math.min(form.length - 1, kept.length); length >= SHORTEST_SECRET; length--) {
    if (kept.endsWith(form.slice(0, length))) return `${kept.slice(0, -length)}…`;
  }
  return text;
}
