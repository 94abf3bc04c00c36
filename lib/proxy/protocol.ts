// The parts of the OCI distribution protocol (1.1) that the proxy speaks: headers, ranges of blobs,
// the contents of manifests, and errors. Pure.

import type { RegistryFailure } from "../images/registry.ts";
import type { CandidateAttempt } from "../plan/outcome.ts";
import { isFields } from "../support/json.ts";
import { quote } from "../support/text.ts";

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

/** Failures that no later request can change: the mirrors have no such image, or must not serve it. */
const FINAL: ReadonlySet<string> = new Set(["not-found", "unsupported-image", "digest-changed"]);

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

/** An answer of a mirror that does not serve a request. */
export interface Refusal {
  readonly status: number;
  /** The header Content-Type, or an empty text. */
  readonly type: string;
  /** Whether the header WWW-Authenticate asks for credentials. */
  readonly asksForCredentials: boolean;
  /** The beginning of the body; undefined for an answer to HEAD, which has none. */
  readonly body: string | undefined;
}

/** Whether an answer is a web page, by its header Content-Type or by its body. */
export function isPage(type: string, body = ""): boolean {
  return /^\s*(?:text\/html|application\/xhtml)/i.test(type) || /^[\s\ufeff]*</.test(body);
}

/** Codes by which a registry says that it has no such image ("Error Codes"; NOT_FOUND is Harbor's). */
const UNKNOWN_CODES: ReadonlySet<string> = new Set(["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND", "BLOB_UNKNOWN"]);

/**
 * Returns why a mirror refused, and its reason in its own words, which may be empty. `failed` is a
 * refusal of this request alone. A registry behind a reverse proxy answers some requests with a page of that
 * proxy: 401 with a challenge, 429, and 5xx are a registry's all the same.
 */
export function refusalIn(
  { status, type, asksForCredentials, body }: Refusal,
): { readonly kind: RegistryFailure | "failed"; readonly reason: string } {
  const errors = body === undefined ? undefined : errorsIn(body);
  const [first] = errors ?? [];
  const { code, message } = isFields(first) ? first : {};
  const reason = [code, message].filter((it) => typeof it === "string" && it !== "").join(": ");
  const kind = kindOf(status, asksForCredentials);
  if (kind !== undefined) return { kind, reason };
  if (isPage(type, body)) return { kind: "not-a-registry", reason: "a web page" };
  if (status === 401 || status === 403) return { kind: "denied", reason };
  if (status !== 404) return { kind: "failed", reason };
  if (body === undefined) return { kind: "not-found", reason };
  if (body.trim() === "") return { kind: "registry-error", reason: "without saying what is missing" };
  if (errors === undefined) return { kind: "not-a-registry", reason: quote(body.trim()) };
  // distribution, registry/handlers/manifests.go
  if (/OCI (?:index|manifest) found, but accept header/i.test(reason)) return { kind: "unsupported-image", reason };
  const codes = errors.map((error) => isFields(error) ? String(error.code).toUpperCase() : "");
  return { kind: codes.some((it) => UNKNOWN_CODES.has(it)) ? "not-found" : "registry-error", reason };
}

/** What a status says by itself. 511 is a portal's that wants a sign-in (RFC 6585, 6). */
function kindOf(status: number, asksForCredentials: boolean): RegistryFailure | undefined {
  if (status === 401 && asksForCredentials) return "denied";
  if (status === 407) return "proxy-refused";
  if (status === 429) return "rate-limited";
  if (status === 511) return "not-a-registry";
  return status >= 500 || status < 400 ? "registry-error" : undefined;
}

/** The errors in a registry's answer; undefined if it is not in the specification's format. */
function errorsIn(body: string): readonly unknown[] | undefined {
  try {
    const answer: unknown = JSON.parse(body);
    return isFields(answer) && Array.isArray(answer.errors) ? answer.errors : undefined;
  } catch {
    return undefined;
  }
}
