// What a runtime says of a failed pull, as operators read it: each text once, the registry's own
// sentence kept, and no longer than a line can hold. Pure.

import { describeError } from "../support/errors.ts";
import { folded, shortenedChain, wordsOfPage } from "../support/text.ts";
import { RuntimeError } from "./errors.ts";

/** Characters of what follows `pull REFERENCE: `. */
const LONGEST_SENTENCE = 200;

/**
 * Words that Go programs put before a reason, and that the reference before them says already. What
 * they wrap always follows.
 */
const WRAPPERS: readonly RegExp[] = [
  /^unknown: (?=.)/,
  /^rpc error: code = \w+ desc = (?=.)/,
  /^failed to (?:pull and unpack image|resolve reference) "[^"]*": (?=.)/,
  /^failed to resolve image: (?=.)/,
  /^(?:manifest for|repository) \S+ not found: (?=.)/,
];

/**
 * Returns the error of a failed pull of `reference` with its text in brief, and the whole beside it.
 * Secrets must be gone already: a secret that is cut is not found any more. What is said of the
 * runtime itself stays as it is.
 */
export function errorInBrief<Thrown>(error: Thrown, reference: string): Thrown | RuntimeError {
  if (!(error instanceof RuntimeError) || error.kind === "unreachable" || error.silence !== undefined) return error;
  const whole = describeError(error);
  const message = inBrief(whole, reference);
  const { kind, retryAfterSeconds } = error;
  return message === whole ? error : new RuntimeError(kind, message, { retryAfterSeconds, whole });
}

/**
 * Returns the text of a failed pull of `reference` in brief. `text` begins with what was attempted,
 * such as `pull REFERENCE: `, which stays.
 */
export function inBrief(text: string, reference: string): string {
  const head = /^(?:pull|resolve) \S+: /.exec(text)?.[0] ?? "";
  return head + shortenedChain(sentenceOf(text.slice(head.length), reference), LONGEST_SENTENCE);
}

/**
 * Returns a failure in brief without what was attempted, a call of the runtime or a request of the
 * registry proxy, and without the reference: what the registry or the runtime says.
 */
export function sentenceIn(brief: string, reference: string): string {
  return brief.replace(/^(?:pull|resolve) \S+: |^(?:GET|HEAD) \S+ \S+: /, "").replaceAll(`: ${reference}`, "");
}

function sentenceOf(message: string, reference: string): string {
  const text = withoutWrappers(withoutOwnNames(wordsOfPage(message), reference));
  return folded(withoutRepeatedUrls(text));
}

function withoutWrappers(text: string): string {
  const wrapper = WRAPPERS.find((pattern) => pattern.test(text));
  return wrapper === undefined ? text : withoutWrappers(text.replace(wrapper, ""));
}

/** Removes the reference itself, and the URLs of its own manifest; those of its layers become digests. */
function withoutOwnNames(message: string, reference: string): string {
  const name = reference.replace(/@.*$/, "").replace(/:[^:/]*$/, "");
  const slash = name.indexOf("/");
  const host = name.slice(0, slash) === "docker.io" ? "registry-1.docker.io" : name.slice(0, slash);
  const api = `https?://${literal(host)}/v2/`;
  const own = `${api}(?:${literal(name.slice(slash + 1))}/manifests/[^\\s"]*?)?`;
  return message
    .replaceAll(new RegExp(`\\b(?:Get|Head) "${own}": (?=.)`, "gi"), "")
    .replaceAll(new RegExp(` (?:from|to) ${own}(?=: )`, "g"), "")
    .replaceAll(new RegExp(`${api}\\S*?/(blob|manifest)s/(sha256:[0-9a-f]{64})(?:\\?[^\\s":]*)?`, "g"), "$1 $2")
    .replaceAll(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, "$1…")
    .replaceAll(`${reference}: not found`, "not found")
    .replaceAll(`pull access denied for ${name},`, "pull access denied,");
}

function withoutRepeatedUrls(text: string): string {
  const seen = new Set<string>();
  return text.replaceAll(/https?:\/\/[^\s"]+/g, (url) => {
    if (seen.has(url)) return "…";
    seen.add(url);
    return url;
  });
}

/** Escapes a text for a regular expression. */
function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
