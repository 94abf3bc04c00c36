// YAML text in, one mapping out, or one sentence about why not, in the operator's words.
// Pure; it knows nothing of Gilly's keys. No sentence repeats the text, which may hold a secret.

import { parse, YamlSyntaxError } from "@std/yaml";
import { type Fields, isFields } from "../support/json.ts";

/** A text that was read, or the first thing that is wrong with it; the parser stops there. */
export type YamlReading =
  | { readonly document: Fields; readonly line?: never; readonly key?: never; readonly message?: never }
  | {
    readonly document: undefined;
    /** 1-based; undefined when it concerns the whole text. */
    readonly line: number | undefined;
    /** The key that is wrong, where it is known, else empty. */
    readonly key: string;
    readonly message: string;
  };

const EXPECTED = "expected a mapping of keys to values, such as registries: and kubelet:";

/** Reads a text that holds one YAML document: a mapping, of values of YAML's core schema. Never throws. */
export function readYamlMapping(text: string): YamlReading {
  const lines = text.split(/\r\n?|\n/);
  // The parser takes a tab for no indentation at all, so that nested keys would silently rise to the top.
  const tab = lines.findIndex((line) => /^ *\t\s*[^\s#]/.test(line));
  if (tab >= 0) return refusal("is indented with a tab; expected spaces", tab + 1);
  try {
    const document = parse(text, { schema: "core" });
    if (isFields(document)) return { document };
    if (document === null || document === undefined) return refusal(`holds no settings; ${EXPECTED}`);
    return refusal(`is ${Array.isArray(document) ? "a list" : "a single value"}; ${EXPECTED}`);
  } catch (error) {
    if (error instanceof RangeError) return refusal("is nested too deeply to be read");
    return error instanceof YamlSyntaxError ? explain(error, lines) : refusal("is not valid YAML");
  }
}

function refusal(message: string, line?: number, key = ""): YamlReading {
  return { document: undefined, line, key, message };
}

const KEY_OF_LINE = /^\s*(?:- +)*("[^"]*"|'[^']*'|[^\s"'#:{}[\]][^:{}[\]]*?)\s*:(?:\s[^{]*)?$/;

function explain(error: YamlSyntaxError, lines: readonly string[]): YamlReading {
  const { message, column } = error;
  const reason = message.slice(0, message.indexOf(` at line ${error.line}, column ${column}`));
  // An end that came too early is reported behind the last line.
  const line = Math.min(error.line, lines.length);
  const source = lines[line - 1] ?? "";
  if (reason.includes("duplicated key")) {
    return refusal("duplicate key; keep one of them", line, KEY_OF_LINE.exec(source)?.[1]);
  }
  if (reason.includes("alias")) {
    return refusal('a name or value that begins with * must be in quotes, as in "*.pkg.dev"', line);
  }
  const place = column > 0 ? ` (column ${column})` : "";
  const hint = /\{registry\}/.test(source) ? "; a value with {registry} must be in quotes" : "";
  return refusal(`is not valid YAML${place}: ${withoutQuotations(reason)}${hint}`, line);
}

function withoutQuotations(reason: string): string {
  return (reason.charAt(0).toLowerCase() + reason.slice(1)).replace(/ ?(?:"[^"]*"|!<.*>)/gs, "");
}
