// The parts of the OCI distribution protocol (1.1) that the proxy speaks: headers, ranges of blobs,
// the contents of manifests, and errors. Pure.

import type { CandidateAttempt } from "../plan/outcome.ts";
import { isFields } from "../support/json.ts";

/** Returns those headers of a request or an answer, by name in lower case. */
export function headersNamed(
  names: readonly string[],
  headers: { get(name: string): string | null | undefined },
): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => {
    const value = headers.get(name) ?? undefined;
    return value === undefined ? [] : [[name, value]];
  }));
}

/** Bytes from `from` up to and excluding `end`; without `end`, to the last byte. */
export interface ByteRange {
  readonly from: number;
  readonly end: number | undefined;
}

/** The complete blob. */
export const WHOLE: ByteRange = { from: 0, end: undefined };

/**
 * Returns the range in a header, or the complete blob for a form that no runtime sends: a server may
 * ignore the header (RFC 9110, 14.2).
 */
export function rangeIn(header: string | undefined): ByteRange {
  const [, first, last] = /^bytes=(\d{1,15})-(\d{1,15})?$/.exec(header ?? "") ?? [];
  if (first === undefined) return WHOLE;
  const range = { from: Number(first), end: last === undefined ? undefined : Number(last) + 1 };
  return range.end !== undefined && range.end <= range.from ? WHOLE : range;
}

/** Returns the header Content-Range for a part of a blob. */
export function contentRange(from: number, end: number, size: number): string {
  return `bytes ${from}-${end - 1}/${size}`;
}

/** The largest manifest that is served, in bytes (OCI distribution specification, 1.1, "Pushing Manifests"). */
export const MANIFEST_LIMIT_BYTES = 4 * 1024 * 1024;

/** Returns the digests that a manifest or an index names: its manifests, config and layers. Never throws. */
export function digestsIn(manifest: string): readonly string[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(manifest);
  } catch {
    return [];
  }
  if (!isFields(parsed)) return [];
  const descriptors = [parsed.config, ...listOf(parsed.manifests), ...listOf(parsed.layers)];
  return descriptors.flatMap((descriptor) => {
    const digest = isFields(descriptor) ? descriptor.digest : undefined;
    return typeof digest === "string" ? [digest] : [];
  });
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/**
 * An answer in the error format of the specification ("Error Codes"). Codes and statuses are chosen
 * for what reaches a person: Docker passes the message of a 404 or 429 on to the pod's waiting
 * message, drops that of any 5xx, and answers a 401 with credentials (moby distribution/errors.go).
 */
export interface ErrorAnswer {
  readonly status: 404 | 405 | 429 | 508;
  readonly code: "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN" | "UNSUPPORTED" | "TOOMANYREQUESTS";
  readonly message: string;
}

/** Failures that no later request can change: the mirrors do not have it, or must not serve it. */
const FINAL: ReadonlySet<string> = new Set(["not-found", "digest-changed"]);

/**
 * Returns what to answer after every candidate failed, with each mirror and its answer: 404 if it
 * cannot succeed later, and 429 if it may.
 */
export function answerAfter(attempts: readonly CandidateAttempt[], kind: "manifest" | "blob"): ErrorAnswer {
  const message = attempts.map((it) => it.message).join("; ") || "no mirror can have an image of this name";
  return attempts.every(({ failure }) => FINAL.has(failure))
    ? unknown(kind, message)
    : { status: 429, code: "TOOMANYREQUESTS", message };
}

/** Returns the answer for an image that is not served, whatever the mirrors say. */
export function unknown(kind: "manifest" | "blob", message: string): ErrorAnswer {
  return { status: 404, code: kind === "manifest" ? "MANIFEST_UNKNOWN" : "BLOB_UNKNOWN", message };
}

/** Returns the body of an error. */
export function errorBody({ code, message }: ErrorAnswer): string {
  return JSON.stringify({ errors: [{ code, message: `gilly: ${message}` }] });
}
