// Writes log lines, as text or JSON, with LogTape: one entry a line, whatever the text contains. In
// the daemon nothing else writes to standard error except main.ts.

import { configureSync, getLogger, type LogLevel, type LogRecord } from "@logtape/logtape";
import { LONGEST_ENTRY, printable, shortened } from "../support/text.ts";

/** The levels of the config, least severe first. */
export type Level = "debug" | "info" | "warning" | "error";

/**
 * The fields of an entry: in JSON they are next to `message`; in text the message already contains
 * them.
 */
export type Fields = Readonly<Record<string, unknown>>;

/** Which entries are written, and in which format. */
export interface LogSettings {
  readonly level: Level;
  readonly format: "text" | "json";
}

/** The settings of the log, and where it writes. */
export interface LogOptions extends LogSettings {
  /** Under journald entries have a syslog priority and no time, since journald adds its own. */
  readonly journald: boolean;
  /** Writes one complete line, newline included. */
  readonly write: (line: Uint8Array) => void;
}

/** sd-daemon(3): a line that begins with <N> has syslog priority N. */
const PRIORITY: Record<LogLevel, number> = { trace: 7, debug: 7, info: 6, warning: 4, error: 3, fatal: 2 };

/** Puts these options in force for all later entries; called again on reload. */
export function configureLog(options: LogOptions): void {
  const encoder = new TextEncoder();
  const format = options.format === "json" ? jsonLine : textLine;
  configureSync({
    reset: true,
    sinks: { out: (record) => options.write(encoder.encode(format(record, options.journald))) },
    loggers: [
      { category: ["gilly"], lowestLevel: options.level, sinks: ["out"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["out"] },
    ],
  });
}

/**
 * Writes one entry under a tag such as `PullImage`. If its text or a field is too long, it is written
 * shortened, and once more in full at debug.
 */
export function log(level: Level, tag: string, text: string, fields: Fields = {}): void {
  const logger = getLogger(["gilly", tag]);
  // LogTape expands {placeholders} in messages; a pod's name must not become one.
  if (level === "debug") return logger.debug("{text}", { text, fields });
  const whole = { text: printable(text), fields };
  const entry = brief(whole) as typeof whole;
  logger[level]("{text}", entry);
  if (JSON.stringify(entry) !== JSON.stringify(whole)) logger.debug("{text}", { text, fields });
}

/** Returns the value with every text in it shortened. */
function brief(value: unknown): unknown {
  if (typeof value === "string") return shortened(value, LONGEST_ENTRY);
  if (Array.isArray(value)) return value.map(brief);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, below]) => [key, brief(below)]));
}

function textLine(record: LogRecord, journald: boolean): string {
  const { tag, text } = contentOf(record);
  // Operators grep for these lines in their historical form; this tag always had a single space.
  const gap = tag === "TagImage" ? " " : "  ";
  const head = journald ? `<${PRIORITY[record.level]}>` : `${stamp(record.timestamp)} `;
  return `${head}[${tag}]${gap}${printable(text)}\n`;
}

function jsonLine(record: LogRecord, journald: boolean): string {
  const { tag, text, fields } = contentOf(record);
  const head = journald ? `<${PRIORITY[record.level]}>` : "";
  const time = new Date(record.timestamp).toISOString();
  // The replacer makes every text printable, this one included; doing it twice would truncate it
  // twice.
  const entry = { time, level: record.level, tag, message: text, ...fields };
  return `${head}${JSON.stringify(entry, (_key, value) => typeof value === "string" ? printable(value) : value)}\n`;
}

function contentOf(record: LogRecord): { tag: string; text: string; fields: Fields } {
  const { text, fields } = record.properties;
  return {
    tag: record.category.at(-1) ?? "Main",
    text: typeof text === "string" ? text : record.message.map(String).join(""),
    fields: (fields ?? {}) as Fields,
  };
}

/** Returns local time in the form `2020/05/16 01:11:53`. */
function stamp(timestamp: number): string {
  const time = new Date(timestamp);
  const two = (part: number) => String(part).padStart(2, "0");
  const date = `${time.getFullYear()}/${two(time.getMonth() + 1)}/${two(time.getDate())}`;
  return `${date} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}
