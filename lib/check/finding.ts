// The findings of `gilly check`: what was checked, the verdict and the next step, as lines for
// people and for scripts. Pure.

import { hangingIndent, printable } from "../support/text.ts";

/** `warn`: repairs work, but may stop working; `fail`: repairs do not work. */
export type Verdict = "ok" | "warn" | "fail";

/** One thing that was checked. `name` is stable between runs; each text is one sentence. */
export interface Finding {
  readonly name: string;
  readonly verdict: Verdict;
  readonly message: string;
  /** What to do, if anything. */
  readonly remedy?: string;
}

/**
 * A failed call: the kind of KubeletError or RuntimeError, and the text of the error and its
 * causes.
 */
export interface Failed {
  readonly kind: string;
  readonly text: string;
}

/** The remedy for files that only root and the daemon may read. */
export const AS_ROOT = "run it as root: sudo gilly check";

/** Makes a finding with this verdict. */
export const ok = (name: string, message: string, remedy?: string): Finding => finding("ok", name, message, remedy);
/** See `ok`. */
export const warn = (name: string, message: string, remedy?: string): Finding => finding("warn", name, message, remedy);
/** See `ok`. */
export const fail = (name: string, message: string, remedy?: string): Finding => finding("fail", name, message, remedy);

/** Makes a finding for something that was not checked, and why. */
export function notAsked(name: string, because: string): Finding {
  return warn(name, `not checked, because ${because}`, "fix that first, then check again");
}

/**
 * Removes control characters from the findings, which may quote untrusted answers, so that each
 * finding stays on one line.
 */
export function sanitize(findings: readonly Finding[]): Finding[] {
  return findings.map(({ remedy, ...rest }) => ({
    ...rest,
    message: printable(rest.message),
    ...(remedy === undefined ? {} : { remedy: printable(remedy) }),
  }));
}

/** Returns the worst verdict among the findings. */
export function worstOf(findings: readonly Finding[]): Verdict {
  const verdicts = new Set(findings.map(({ verdict }) => verdict));
  return verdicts.has("fail") ? "fail" : verdicts.has("warn") ? "warn" : "ok";
}

/** What a line of shell has and prose has not: such a line is copied in one piece. */
export const SHELL = /\$\(| (?:\||&&|>\S)/;

/**
 * Formats the findings as text: `verdict  name: message`, the remedy on the next line, and a
 * summary at the end. Lines are wrapped at `width` columns, except those with a line of shell to
 * copy; without a width each text is one line, for grep.
 */
export function renderFindings(findings: readonly Finding[], width: number | undefined): string {
  const lines = findings.flatMap(({ name, verdict, message, remedy }) => [
    ...hangingIndent(`${verdict.padEnd(4)}  `, `${name}: ${message}`, width),
    ...(remedy === undefined ? [] : hangingIndent("      → ", remedy, SHELL.test(remedy) ? undefined : width)),
  ]);
  const count = (verdict: Verdict) => findings.filter((finding) => finding.verdict === verdict).length;
  return [...lines, "", `${count("ok")} ok, ${count("warn")} warn, ${count("fail")} fail`, ""].join("\n");
}

function finding(verdict: Verdict, name: string, message: string, remedy: string | undefined): Finding {
  return { name, verdict, message, ...(remedy === undefined ? {} : { remedy }) };
}
