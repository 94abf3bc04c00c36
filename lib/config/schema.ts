// The types of values that a key of the config file can have, each with one plain sentence for a
// value of another type. Pure.

import * as z from "zod/mini";
import { nearestWord, quote } from "../support/text.ts";
import { bytesOf, secondsOf } from "./values.ts";

/** A mistake and its location. If the last key of the path does not exist, the key is missing. */
export interface SettingMistake {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** The expected contents of a file that a key names; Gilly itself writes a `written` file. */
export type FileKind = "certificate" | "key" | "token" | "credentials" | "written";

/** The properties of a key besides its schema. */
export interface KeyFacts {
  /** The purpose of the key, in Markdown, for the page of all keys. */
  readonly purpose: string;
  /** The default, in YAML. Without one, the key is either optional or required. */
  readonly fallback?: unknown;
  readonly file?: FileKind;
}

const FACTS = z.registry<KeyFacts>();

/** Declares a key: the values that it accepts, and its other properties. */
export function key<Schema extends z.core.$ZodType>(schema: Schema, facts: KeyFacts): Schema {
  FACTS.add(schema, facts);
  return schema;
}

/** A declared key; `HOST` in its path stands for any key of a mapping. */
export interface Key extends KeyFacts {
  readonly path: readonly string[];
}

/** The keys below a section, in the order of their declaration. */
export function* keysOf(schema: z.core.$ZodType, path: readonly string[] = []): Generator<Key> {
  const facts = FACTS.get(schema);
  if (facts !== undefined) yield { ...facts, path };
  else for (const [name, below] of Object.entries(shapeOf(schema))) yield* keysOf(below, [...path, name]);
}

/** Returns the names of the keys of the section at `path` below `schema`. */
export function namesAt(schema: z.core.$ZodType, path: readonly (string | number)[]): readonly string[] {
  const section = path.reduce<z.core.$ZodType | undefined>((at, step) => {
    const shape = at === undefined ? {} : shapeOf(at);
    return shape[step] ?? shape["HOST"];
  }, schema);
  return section === undefined ? [] : Object.keys(shapeOf(section));
}

function shapeOf(schema: z.core.$ZodType): Readonly<Record<string, z.core.$ZodType>> {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "object":
      return def.shape;
    case "record":
      return { HOST: def.valueType };
    case "pipe":
      return shapeOf(def.out);
    case "optional":
      return shapeOf(def.innerType);
    default:
      return {};
  }
}

/** Returns the value of the own property `key`, or undefined if there is none. */
export function valueAt(value: unknown, key: string | number): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string | number, unknown>)[key]
    : undefined;
}

/** A mapping of these keys and no others. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, { error: (issue) => otherShape(issue, "a mapping of keys to values") });
}

/** A mapping with arbitrary keys. */
export function mapping<Value extends z.core.SomeType>(value: Value, expected: string) {
  return z.record(z.string(), value, { error: (issue) => otherShape(issue, expected) });
}

/** A list of values of one type. */
export function list<Item extends z.core.SomeType>(item: Item, expected: string) {
  return z.array(item, { error: (issue) => otherShape(issue, expected) });
}

// A string in place of a section may be anything, even a password, so it is not repeated.
function otherShape({ code, input }: { readonly code: string; readonly input?: unknown }, expected: string) {
  if (code !== "invalid_type") return undefined;
  return typeof input === "string" ? `expected ${expected}, got a string` : unexpected(expected, input);
}

/** A string in which `mistakeIn` finds no mistake. */
export function text(expected: string, mistakeIn: (text: string) => string | undefined) {
  const mistakeInValue = (value: unknown) => {
    if (typeof value === "string") return mistakeIn(value);
    const unquoted = typeof value === "number" || typeof value === "boolean";
    return unexpected(expected, value) + (unquoted ? "; put it in quotes" : "");
  };
  return z.custom<string>((value) => mistakeInValue(value) === undefined, {
    error: ({ input }) => mistakeInValue(input),
  });
}

/** One of these words. */
export function choice<const Values extends readonly string[]>(values: Values) {
  const expected = values.join(", ").replace(/, (?=[^,]*$)/, " or ");
  return z.enum(values, { error: ({ input }) => unexpected(expected, input) });
}

/** A number within inclusive bounds. */
export function number(lowest: number, highest: number, kind: "a number" | "a whole number") {
  const fits = (value: unknown) =>
    typeof value === "number" && value >= lowest && value <= highest &&
    (kind === "a number" || Number.isInteger(value));
  const expected = `${kind} from ${lowest} to ${highest}`;
  return z.custom<number>(fits, { error: ({ input }) => unexpected(expected, input) });
}

/** A duration within inclusive bounds, such as `1s` and `24h`; its value is in seconds. */
export function duration(shortest: string, longest: string) {
  const [lowest = 0, highest = 0] = [shortest, longest].map(secondsOf);
  const fits = (value: unknown) => {
    const seconds = secondsOf(value);
    return seconds !== undefined && seconds >= lowest && seconds <= highest;
  };
  const examples = ["500ms", "5s", "5m", "1h"].filter(fits).join(", ").replace(/, (?=[^,]*$)/, " or ");
  const expected = `a duration from ${shortest} to ${longest}, such as ${examples}`;
  const value = z.custom<string | number>(fits, { error: ({ input }) => unexpected(expected, input) });
  return z.pipe(value, z.transform((value) => secondsOf(value) ?? 0));
}

/** A size within inclusive bounds, such as `4KiB` and `1GiB`; its value is in bytes. */
export function size(smallest: string, largest: string) {
  const [lowest = 0, highest = 0] = [smallest, largest].map(bytesOf);
  const fits = (value: unknown) => {
    const bytes = bytesOf(value);
    return bytes !== undefined && bytes >= lowest && bytes <= highest;
  };
  const expected = `a size from ${smallest} to ${largest}, such as 512KiB or 10MiB`;
  const value = z.custom<string>(fits, { error: ({ input }) => unexpected(expected, input) });
  return z.pipe(value, z.transform((value) => bytesOf(value) ?? 0));
}

/** Suggests what to write instead of an unknown word. */
export function suggestion(wrong: string, known: readonly string[]): string {
  const meant = nearestWord(wrong, known);
  return meant === undefined ? `expected one of ${known.join(", ")}` : `did you mean ${meant}?`;
}

function unexpected(expected: string, value: unknown): string {
  if (value === undefined) return `is missing; expected ${expected}`;
  if (value === null) return `is empty; expected ${expected}`;
  if (typeof value === "string") return `expected ${expected}, got ${quote(value)}`;
  if (typeof value === "object") return `expected ${expected}, got ${Array.isArray(value) ? "a list" : "a mapping"}`;
  return `expected ${expected}, got ${typeof value === "number" ? "the number " : ""}${value}`;
}
