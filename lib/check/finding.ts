// What `gilly check` finds: what was looked at, how it stands, and the next step; as lines for people and for scripts.
// Pure: the checks beside it say what is so, this module only gives it a shape.

import { hangingIndent, printable } from "../support/text.ts";

/** `warn` works today and may not tomorrow; `fail` keeps repairs from working. */
export type Verdict = "ok" | "warn" | "fail";

/** One thing that was looked at. `name` stays the same from run to run, the texts are one sentence each. */
export interface Finding {
  readonly name: string;
  readonly verdict: Verdict;
  readonly message: string;
  /** What to do, when there is something. */
  readonly remedy?: string;
}

/** How a call failed: the kind of KubeletError or RuntimeError, and all that the error and its causes say. */
export interface Failed {
  readonly kind: string;
  readonly text: string;
}

/** What to do about files that only root and the daemon may read. */
export const AS_ROOT = "run it as root: sudo gilly check";

/** A finding of each verdict. */
export const ok = (name: string, message: string, remedy?: string): Finding => finding("ok", name, message, remedy);
/** See `ok`. */
export const warn = (name: string, message: string, remedy?: string): Finding => finding("warn", name, message, remedy);
/** See `ok`. */
export const fail = (name: string, message: string, remedy?: string): Finding => finding("fail", name, message, remedy);

/** What was not looked at. */
export function notAsked(name: string, because: string): Finding {
  return warn(name, `not asked, since ${because}`, "fix that first, then check again");
}

/** The findings without control characters: answers come from elsewhere, and one finding stays one line whatever they hold. */
export function sanitize(findings: readonly Finding[]): Finding[] {
  return findings.map(({ remedy, ...rest }) => ({
    ...rest,
    message: printable(rest.message),
    ...(remedy === undefined ? {} : { remedy: printable(remedy) }),
  }));
}

/** The worst verdict among the findings. */
export function worstOf(findings: readonly Finding[]): Verdict {
  const verdicts = new Set(findings.map(({ verdict }) => verdict));
  return verdicts.has("fail") ? "fail" : verdicts.has("warn") ? "warn" : "ok";
}

/**
 * The findings as text: `verdict  name: message`, the remedy on the next line, and a sum at the end. Lines are folded at
 * `width` columns; without a width each text is one line, for grep.
 */
export function renderFindings(findings: readonly Finding[], width: number | undefined): string {
  const lines = findings.flatMap(({ name, verdict, message, remedy }) => [
    ...hangingIndent(`${verdict.padEnd(4)}  `, `${name}: ${message}`, width),
    ...(remedy === undefined ? [] : hangingIndent("      → ", remedy, width)),
  ]);
  const count = (verdict: Verdict) => findings.filter((finding) => finding.verdict === verdict).length;
  return [...lines, "", `${count("ok")} ok, ${count("warn")} warn, ${count("fail")} fail`, ""].join("\n");
}

function finding(verdict: Verdict, name: string, message: string, remedy: string | undefined): Finding {
  return { name, verdict, message, ...(remedy === undefined ? {} : { remedy }) };
}
