// Reads YAML text as one mapping, or explains in one plain sentence why it cannot.
// Pure; it knows nothing about Gilly's keys. No message repeats a value, which may be a secret.

import { parse, YamlSyntaxError } from "@std/yaml";
import { type Fields, isFields } from "../support/json.ts";

/** A parsed text, or the first mistake in it, at which the parser stops. */
export type YamlReading =
  | { readonly document: Fields; readonly line?: never; readonly key?: never; readonly message?: never }
  | {
    readonly document: undefined;
    /** 1-based; undefined if the mistake concerns the whole text. */
    readonly line: number | undefined;
    /** The wrong key if it is known, else empty. */
    readonly key: string;
    readonly message: string;
  };

const EXPECTED = "expected a mapping of keys to values, such as registries: and kubelet:";

/**
 * Reads a text with one YAML document: a mapping with values of YAML's core schema. Never throws.
 */
export function readYamlMapping(text: string): YamlReading {
  const lines = text.split(/\r\n?|\n/);
  // The parser treats a tab as no indentation, so that nested keys would silently become top-level
  // keys.
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
  // The parser reports an unexpected end of the text after the last line.
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
