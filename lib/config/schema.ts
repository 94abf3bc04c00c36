// What the value of a key of the config file can be, and one plain sentence for a value that is something else. Pure.

import * as z from "zod/mini";
import { nearestWord, quote } from "../support/text.ts";
import { bytesOf, secondsOf } from "./values.ts";

/** A mistake and where it is; a path that ends in a key which does not exist says that it is missing. */
export interface SettingMistake {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What a file that a key names should hold; a `written` one is Gilly's own. */
export type FileKind = "certificate" | "key" | "token" | "credentials" | "written";

/** What is known of a key besides the values that it takes. */
export interface KeyFacts {
  /** What the key is for, in Markdown, for the page of all keys. */
  readonly purpose: string;
  /** The value, in YAML, when the key is left out; without one it has none, or has to be there. */
  readonly fallback?: unknown;
  readonly file?: FileKind;
}

const FACTS = z.registry<KeyFacts>();

/** Declares a key: the values that it takes, and what else is known of it. */
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

/** The names of the keys that a section has, which stands at `path` below `schema`. */
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
    default:
      return {};
  }
}

/** The value below `key`, if there is a mapping and it has the key itself. */
export function valueAt(value: unknown, key: string | number): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string | number, unknown>)[key]
    : undefined;
}

/** A mapping of these keys and no others. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, { error: (issue) => otherShape(issue, "a mapping of keys to values") });
}

/** A mapping whose keys are free. */
export function mapping<Value extends z.core.SomeType>(value: Value, expected: string) {
  return z.record(z.string(), value, { error: (issue) => otherShape(issue, expected) });
}

/** A list of values of one kind. */
export function list<Item extends z.core.SomeType>(item: Item, expected: string) {
  return z.array(item, { error: (issue) => otherShape(issue, expected) });
}

// A text in the place of a whole section may be anything, a password too: it is not repeated.
function otherShape({ code, input }: { readonly code: string; readonly input?: unknown }, expected: string) {
  if (code !== "invalid_type") return undefined;
  return typeof input === "string" ? `expected ${expected}, got a string` : unexpected(expected, input);
}

/** A text in which `mistakeIn` finds nothing wrong. */
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

/** A number within bounds, both included. */
export function number(lowest: number, highest: number, kind: "a number" | "a whole number") {
  const fits = (value: unknown) =>
    typeof value === "number" && value >= lowest && value <= highest &&
    (kind === "a number" || Number.isInteger(value));
  const expected = `${kind} from ${lowest} to ${highest}`;
  return z.custom<number>(fits, { error: ({ input }) => unexpected(expected, input) });
}

/** A duration within bounds, which are written as durations; its value is in seconds. */
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

/** A size within bounds, which are written as sizes; its value is in bytes. */
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

/** What to write instead of a word that is not known. */
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
