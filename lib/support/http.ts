// The only caller of fetch: a deadline for every short call, bounded bodies, and failures that keep their cause.
// It knows nothing of kubelets or Docker.

import { scrub, scrubError } from "./scrub.ts";

/** A request that got no usable answer. `cause` holds the platform's reason. */
export class HttpError extends Error {
  override name = "HttpError";
}

/** The answer, or the rest of it, did not come in time. */
export class HttpTimeoutError extends HttpError {
  override name = "HttpTimeoutError";
}

/** One request: where to, over which client, and until when. */
export interface HttpRequest {
  readonly url: string;
  readonly client: Deno.HttpClient;
  readonly method?: "GET" | "POST";
  readonly headers?: Record<string, string>;
  readonly signal: AbortSignal;
  /** Milliseconds until the answer's headers must be there; undefined waits as long as the signal allows. */
  readonly headersTimeoutMs?: number;
}

/**
 * How long a request that was given up stays open, in milliseconds. Deno 2.6 keeps the connection of an answer for ever
 * when it arrives in the very moment in which its request is aborted: one that is nearly there is awaited instead.
 */
const LATE_ANSWER_MS = 100;

/**
 * Sends one request and returns the answer once its headers are there. Redirects are never followed: neither the kubelet
 * nor Docker needs one, and a cleaned path would be another endpoint. Throws HttpError, or the signal's reason; what the
 * headers hold is in neither. The signal also ends an answer whose body is being read.
 */
export async function send(request: HttpRequest): Promise<Response> {
  const { url, client, method = "GET", headers = {}, signal, headersTimeoutMs } = request;
  signal.throwIfAborted();
  refuseUnsendable(headers);
  const connection = new AbortController();
  let end: ReturnType<typeof setTimeout> | undefined;
  let givenUp: { readonly reason: unknown } | undefined;
  const giveUp = (reason: unknown) => {
    givenUp ??= { reason };
    end ??= setTimeout(() => connection.abort(reason), LATE_ANSWER_MS);
  };
  const stop = () => giveUp(signal.reason);
  signal.addEventListener("abort", stop);
  const deadline = headersTimeoutMs === undefined ? undefined : setTimeout(
    () => giveUp(new HttpTimeoutError(`no answer within ${headersTimeoutMs / 1000} s`)),
    headersTimeoutMs,
  );
  try {
    const response = await fetch(url, { method, headers, client, redirect: "manual", signal: connection.signal });
    if (givenUp === undefined) {
      signal.addEventListener("abort", () => connection.abort(signal.reason), { once: true });
      return response;
    }
    await response.body?.cancel();
  } catch (error) {
    if (givenUp === undefined) {
      const secrets = secretsIn(headers);
      const cause = error instanceof Error ? scrubError(error.cause, secrets) : undefined;
      throw new HttpError(scrub(failureOf(error), secrets), { cause });
    }
  } finally {
    clearTimeout(deadline);
    clearTimeout(end);
    signal.removeEventListener("abort", stop);
  }
  throw givenUp.reason;
}

/** Most answers are smaller; a larger one doubles it as often as it must. */
const FIRST_BUFFER_BYTES = 64 * 1024;

/** As much as the platform reads at once. */
const CHUNK_BYTES = 64 * 1024;

/**
 * The body as bytes, read within `timeoutMs` and refused beyond `limit` bytes. The connection is let go in every case.
 * Throws HttpError, or the signal's reason.
 */
export async function readBody(
  response: Response,
  options: { readonly limit: number; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Uint8Array<ArrayBuffer>> {
  if (response.body === null) return new Uint8Array();
  // Read into one small buffer again and again, and copied from there into one that grows: thousands of small ones, kept
  // to the end or left to the collector, leave holes in the heap that nothing fills again. The large one is never read
  // into: it would be moved with every read, so that the time would grow as a square.
  const reader = response.body.getReader({ mode: "byob" });
  const cancel = () => void reader.cancel().catch(() => {});
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    cancel();
  }, options.timeoutMs);
  options.signal.addEventListener("abort", cancel, { once: true });
  if (options.signal.aborted) cancel();
  let bytes = new Uint8Array(FIRST_BUFFER_BYTES);
  let chunk = new Uint8Array(CHUNK_BYTES);
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read(chunk);
      options.signal.throwIfAborted();
      if (late) throw new HttpTimeoutError(`the answer was not complete within ${options.timeoutMs / 1000} s`);
      if (done) return bytes.subarray(0, size);
      const end = size + value.byteLength;
      if (end > options.limit) throw new HttpError(`the answer is larger than ${options.limit} bytes`);
      if (end > bytes.byteLength) bytes = new Uint8Array(bytes.buffer.transfer(Math.max(2 * size, end)));
      bytes.set(value, size);
      size = end;
      chunk = new Uint8Array(value.buffer);
    }
  } catch (error) {
    options.signal.throwIfAborted();
    throw error instanceof HttpError ? error : new HttpError("the answer was cut off", { cause: error });
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener("abort", cancel);
    cancel();
  }
}

// The platform refuses such a header too (RFC 9110, 5.5), but quotes it.
function refuseUnsendable(headers: Readonly<Record<string, string>>): void {
  const name = Object.keys(headers).find((name) => !/^[\t\x20-\x7e]*$/.test(headers[name]!));
  if (name !== undefined) throw new HttpError(`the value of the header ${name} is not ASCII text`);
}

function secretsIn({ accept: _everybodys, ...headers }: Readonly<Record<string, string>>): string[] {
  return Object.values(headers).flatMap((value) => [value, value.replace(/^\S+ /, "")]);
}

// Deno prefixes every failure with the URL; callers name their target themselves, so only the reason is kept.
function failureOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^error sending request(?: from \S+)? for (?:url \(\S*\)|\S+(?: \(\S*\))?):?\s*/, "")
    .replace(/^client error \(\w+\): /, "") || "the request failed";
}
