// Parsed JSON or YAML from outside, of which nothing is known except that it may have fields.

/** The fields of an object from outside; each must be checked before use. */
export type Fields = Readonly<Record<string, unknown>>;

/** Reports whether a parsed value is an object with fields, not a list or null. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
