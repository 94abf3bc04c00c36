// The findings of `gilly check` as the one line of a monitoring plugin, for Nagios, Icinga, Checkmk
// and whatever else runs such plugins. Pure.

import { counted, printable, shortened } from "../support/text.ts";
import { AS_ROOT, type Finding, SHELL } from "./finding.ts";

/** The states of a plugin with its exit codes (Monitoring Plugins Development Guidelines, Plugin Return Codes). */
export const PLUGIN_EXIT = { ok: 0, warning: 1, critical: 2, unknown: 3 } as const;

/** A state of a plugin. */
export type PluginState = keyof typeof PLUGIN_EXIT;

/** What a plugin prints, with the end of the line, and its exit code. */
export interface PluginResult {
  readonly line: string;
  readonly code: number;
}

/** The states by severity. `unknown` is before `warning`: what could not be checked may have failed. */
const BY_SEVERITY: readonly PluginState[] = ["critical", "unknown", "warning", "ok"];

/** Characters of the text that leads the line, which stays below the 1,024 bytes that old NRPE passes on. */
const LONGEST_MESSAGE = 420;
const LONGEST_REMEDY = 300;

/**
 * Returns the findings as one line: the first of the most severe ones with its next step, how many
 * others there are, and the counts as performance data. A finding that this user was not allowed to
 * check is `unknown`, and one that fails is `critical`, a refused config included.
 */
export function pluginResult(findings: readonly Finding[]): PluginResult {
  const states = findings.map(stateOf);
  const count = (state: PluginState) => states.filter((it) => it === state).length;
  const state = BY_SEVERITY.find((it) => count(it) > 0) ?? "unknown";
  const lead = findings[states.indexOf(state)];
  const text = state === "ok" ? readyText(findings) : lead === undefined ? "nothing was checked" : textOf(lead);
  const others = BY_SEVERITY.filter((it) => it !== "ok").flatMap((it) => {
    const more = count(it) - (it === state ? 1 : 0);
    return more > 0 ? [`${more} ${it}`] : [];
  });
  const also = others.length === 0 ? "" : ` (also ${others.join(", ")})`;
  const counts = BY_SEVERITY.toReversed().map((it) => `${it}=${count(it)};;;0`).join(" ");
  return { line: `${headOf(state)}${text}${also} | ${counts}\n`, code: PLUGIN_EXIT[state] };
}

/** Returns the line for a check that could not be made: a wrong command line, or a failure of the program. */
export function pluginUnknown(why: string): PluginResult {
  return { line: `${headOf("unknown")}${harmless(why, LONGEST_MESSAGE)}\n`, code: PLUGIN_EXIT.unknown };
}

function stateOf({ verdict, remedy }: Finding): PluginState {
  if (verdict === "ok") return "ok";
  if (remedy?.startsWith(AS_ROOT)) return "unknown";
  return verdict === "fail" ? "critical" : "warning";
}

function headOf(state: PluginState): string {
  return `GILLY ${state.toUpperCase()} - `;
}

function readyText(findings: readonly Finding[]): string {
  const daemon = findings.find(({ name }) => name === "daemon");
  const checks = `${counted(findings.length, "check")} ok`;
  return daemon === undefined ? checks : `${checks}; daemon: ${harmless(daemon.message, LONGEST_MESSAGE)}`;
}

function textOf({ name, message, remedy }: Finding): string {
  const what = harmless(`${name}: ${message}`, LONGEST_MESSAGE);
  if (remedy === undefined) return what;
  // A line of shell without its pipes would be another one.
  return `${what}; next: ${SHELL.test(remedy) ? "see gilly check" : harmless(remedy, LONGEST_REMEDY)}`;
}

/**
 * Returns the text in visible ASCII, so that characters are bytes, cut to `most`, and without `|`, which
 * begins performance data, and `\n`, which receivers of passive results take for the end of a line.
 */
function harmless(text: string, most: number): string {
  const plain = text.replace(/\s+|\\[nrt]/g, " ").replaceAll("…", "...").replaceAll("|", "/");
  const ascii = printable(plain).replace(/[^\x20-\x7e]+/g, "?").replace(/ +/g, " ").trim();
  return shortened(ascii, most).replace(/…$/, "...");
}
