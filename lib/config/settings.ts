// The config file as settings: defaults filled in, checked key by key and across keys. Pure: parsed YAML in, settings and
// mistakes out. It knows no lines and no files.

import * as z from "zod/mini";
import { type Fields, isFields } from "../support/json.ts";
import { mistakesAcrossKeys } from "./joined.ts";
import { SETTINGS, type Settings } from "./keys.ts";
import { type FileKind, keysOf, namesAt, type SettingMistake, suggestion, valueAt } from "./schema.ts";
import { OFF } from "./values.ts";

/** Every key of the file, in YAML's spelling, with its default; undefined where there is none. */
export const DEFAULTS: Fields = defaultsOf();

/** Checks a parsed YAML mapping. There are settings exactly when there is no mistake. */
export function checkSettings(
  document: Fields,
): { readonly settings: Settings | undefined; readonly mistakes: readonly SettingMistake[] } {
  const filled = withDefaults(document, DEFAULTS);
  const { data, error } = z.safeParse(SETTINGS, filled);
  const mistakes = (error?.issues ?? []).flatMap((issue) => mistakesOf(issue, filled));
  mistakes.push(...mistakesAcrossKeys(filled));
  return { settings: mistakes.length === 0 ? data : undefined, mistakes };
}

/** A file that a config names: the path of the key, its value, and what the file should hold. */
export interface FileSetting {
  readonly path: readonly string[];
  readonly value: string;
  readonly kind: FileKind;
}

/** Every text in the document that names a file, to be read or written, whatever else is wrong with the document. */
export function filesNamedIn(document: unknown): readonly FileSetting[] {
  return [...keysOf(SETTINGS)].flatMap(({ path, file: kind, fallback }) =>
    kind === undefined ? [] : concrete(path, document).flatMap((path) => {
      const value = path.reduce<unknown>(valueAt, document);
      // What names no file when it is left out does not when it says so.
      return typeof value === "string" && (value !== OFF || fallback !== OFF) ? [{ path, value, kind }] : [];
    })
  );
}

/** The paths that a key has in a document: one, or one for each key of the mapping that it is in. */
function concrete(path: readonly string[], document: unknown): readonly (readonly string[])[] {
  const free = path.indexOf("HOST");
  if (free < 0) return [path];
  const mapping = path.slice(0, free).reduce<unknown>(valueAt, document);
  return Object.keys(isFields(mapping) ? mapping : {}).map((key) => path.with(free, key));
}

function defaultsOf(): Fields {
  const defaults: Record<string, unknown> = {};
  for (const { path, fallback } of keysOf(SETTINGS)) {
    let at = defaults;
    for (const step of path.slice(0, -1)) {
      if (step === "HOST") break;
      at = (at[step] ??= {}) as Record<string, unknown>;
    }
    if (!path.includes("HOST")) at[path.at(-1)!] = fallback;
  }
  return defaults;
}

function withDefaults(value: unknown, defaults: unknown): unknown {
  if (value === undefined || value === null) return isFields(defaults) ? withDefaults({}, defaults) : defaults;
  if (!isFields(value) || !isFields(defaults)) return value;
  const filled = Object.entries(defaults).map(([key, below]) => [key, withDefaults(valueAt(value, key), below)]);
  return Object.fromEntries([...Object.entries(value), ...filled]);
}

function mistakesOf(issue: z.core.$ZodIssue, filled: unknown): readonly SettingMistake[] {
  const steps = issue.path.map((step) => typeof step === "number" ? step : String(step));
  // The only mirror of an origin may stand without a list, and then has no index.
  const path = steps.filter((step, index) =>
    typeof step === "string" || Array.isArray(steps.slice(0, index).reduce(valueAt, filled))
  );
  if (issue.code !== "unrecognized_keys") return [{ path, message: issue.message }];
  const known = namesAt(SETTINGS, path);
  return issue.keys.map((key) => ({ path: [...path, key], message: `unknown key; ${suggestion(key, known)}` }));
}
