// What came in from outside (JSON or YAML, parsed): nothing is known of it but that it may have fields.

/** Fields of an object that somebody else wrote; each is to be looked at before it is believed. */
export type Fields = Readonly<Record<string, unknown>>;

/** Whether a parsed value is an object with fields, and neither a list nor null. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
