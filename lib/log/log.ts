// The one way out for log lines: LogTape behind it, text or JSON, one entry a line whatever the text holds.
// Nothing else writes to standard error but main.ts.

import { configureSync, getLogger, type LogLevel, type LogRecord } from "@logtape/logtape";
import { printable } from "../support/text.ts";

/** Levels of the config, least severe first; each has its syslog priority. */
export type Level = "debug" | "info" | "warning" | "error";

/** Fields of an entry; in JSON they stand beside `message`, in text the message says it all. */
export type Fields = Readonly<Record<string, unknown>>;

/** Which entries are written, and how they look. */
export interface LogSettings {
  readonly level: Level;
  readonly format: "text" | "json";
}

/** What the log is told besides. */
export interface LogOptions extends LogSettings {
  /** Under journald entries carry a syslog priority and no time; journald has its own. */
  readonly journald: boolean;
  /** Takes one whole line, with its newline. */
  readonly write: (line: Uint8Array) => void;
}

/** sd-daemon(3): a line that begins with <N> has syslog priority N. */
const PRIORITY: Record<LogLevel, number> = { trace: 7, debug: 7, info: 6, warning: 4, error: 3, fatal: 2 };

/** Puts these options in force for every later entry; called again on reload. */
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

/** Writes one entry under a tag such as `PullImage`. */
export function log(level: Level, tag: string, text: string, fields: Fields = {}): void {
  // LogTape fills {placeholders} in messages; a name from a pod must not become one.
  getLogger(["gilly", tag])[level]("{text}", { text, fields });
}

function textLine(record: LogRecord, journald: boolean): string {
  const { tag, text } = contentOf(record);
  // Operators grep for these lines as they always were, and this one always had a single space.
  const gap = tag === "TagImage" ? " " : "  ";
  const head = journald ? `<${PRIORITY[record.level]}>` : `${stamp(record.timestamp)} `;
  return `${head}[${tag}]${gap}${printable(text)}\n`;
}

function jsonLine(record: LogRecord, journald: boolean): string {
  const { tag, text, fields } = contentOf(record);
  const head = journald ? `<${PRIORITY[record.level]}>` : "";
  const time = new Date(record.timestamp).toISOString();
  // The replacer makes every text printable, this one too: twice would cut it twice.
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

/** Local time as `2020/05/16 01:11:53`. */
function stamp(timestamp: number): string {
  const time = new Date(timestamp);
  const two = (part: number) => String(part).padStart(2, "0");
  const date = `${time.getFullYear()}/${two(time.getMonth() + 1)}/${two(time.getDate())}`;
  return `${date} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}
