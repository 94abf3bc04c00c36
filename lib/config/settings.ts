// Turns a parsed config file into settings: fills in the defaults, then checks each key and the
// rules across keys. Pure: it reads no files and knows no line numbers.

import * as z from "zod/mini";
import { type Fields, isFields } from "../support/json.ts";
import { mistakesAcrossKeys } from "./joined.ts";
import { SETTINGS, type Settings } from "./keys.ts";
import { type FileKind, keysOf, namesAt, type SettingMistake, suggestion, valueAt } from "./schema.ts";
import { CRIO_REFUSED, OFF } from "./values.ts";

/**
 * The default of every key, in YAML's spelling; undefined if a key has none. Keys below a mirror's
 * host are not included.
 */
export const DEFAULTS: Fields = defaultsOf();

/** Checks a parsed YAML mapping. `settings` is defined exactly when there are no mistakes. */
export function checkSettings(
  document: Fields,
): { readonly settings: Settings | undefined; readonly mistakes: readonly SettingMistake[] } {
  const filled = withDefaults(document, defaultsFor(document));
  const { data, error } = z.safeParse(SETTINGS, filled);
  const mistakes = (error?.issues ?? []).flatMap((issue) => mistakesOf(issue, filled));
  mistakes.push(...mistakesAcrossKeys(filled));
  return { settings: mistakes.length === 0 ? data : undefined, mistakes };
}

/** A file named in a config: the path of the key, its value, and what the file should contain. */
export interface FileSetting {
  readonly path: readonly string[];
  readonly value: string;
  readonly kind: FileKind;
}

/**
 * Returns every string in the document that names a file to read or write, even if other parts of
 * the document are wrong.
 */
export function filesNamedIn(document: unknown): readonly FileSetting[] {
  return [...keysOf(SETTINGS)].flatMap(({ path, file: kind, fallback }) =>
    kind === undefined ? [] : concrete(path, document).flatMap((path) => {
      const value = path.reduce<unknown>(valueAt, document);
      // Where `off` is the default, `off` names no file.
      return typeof value === "string" && (value !== OFF || fallback !== OFF) ? [{ path, value, kind }] : [];
    })
  );
}

/** The paths of a key in a document: one, or one for each key of the mapping in place of HOST. */
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

/** A document that names a runtime gets no default of the other one. */
function defaultsFor(document: Fields): Fields {
  const unnamed = Object.hasOwn(document, "containerd") ? "docker" : "containerd";
  if (Object.hasOwn(document, unnamed)) return DEFAULTS;
  return Object.fromEntries(Object.entries(DEFAULTS).filter(([key]) => key !== unnamed));
}

function withDefaults(value: unknown, defaults: unknown): unknown {
  if (value === undefined || value === null) return isFields(defaults) ? withDefaults({}, defaults) : defaults;
  if (!isFields(value) || !isFields(defaults)) return value;
  const filled = Object.entries(defaults).map(([key, below]) => [key, withDefaults(valueAt(value, key), below)]);
  return Object.fromEntries([...Object.entries(value), ...filled]);
}

function mistakesOf(issue: z.core.$ZodIssue, filled: unknown): readonly SettingMistake[] {
  const steps = issue.path.map((step) => typeof step === "number" ? step : String(step));
  // An origin's only mirror may be written without a list; its path then has no index.
  const path = steps.filter((step, index) =>
    typeof step === "string" || Array.isArray(steps.slice(0, index).reduce(valueAt, filled))
  );
  if (issue.code !== "unrecognized_keys") return [{ path, message: issue.message }];
  const known = namesAt(SETTINGS, path);
  return issue.keys.map((key) => ({
    path: [...path, key],
    message: path.length === 0 && /^cri-?o$/i.test(key)
      ? `CRI-O cannot be served: ${CRIO_REFUSED}`
      : `unknown key; ${suggestion(key, known)}`,
  }));
}
