// The only caller of fetch: a deadline for every short call, bounded bodies, and errors that keep
// their cause. Independent of kubelets and Docker.

import { scrub, scrubError } from "../scrub.ts";

/** Thrown for a request that got no usable answer. `cause` holds the platform's reason. */
export class HttpError extends Error {
  override name = "HttpError";
}

/** Thrown when the answer, or the rest of it, does not arrive in time. */
export class HttpTimeoutError extends HttpError {
  override name = "HttpTimeoutError";
}

/** One request: its target, its client and its deadline. */
export interface HttpRequest {
  readonly url: string;
  readonly client: Deno.HttpClient;
  readonly method?: "GET" | "HEAD" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly signal: AbortSignal;
  /**
   * Milliseconds until the answer's headers must arrive; if undefined, only the signal limits the
   * wait.
   */
  readonly headersTimeoutMs?: number;
}

/**
 * How long an abandoned request stays open, in milliseconds. Deno 2.6 keeps the connection forever
 * if an answer arrives at the moment its request is aborted, so an answer that is about to arrive
 * is awaited.
 */
const LATE_ANSWER_MS = 100;

/**
 * Sends one request and returns the answer once its headers have arrived. Never follows redirects:
 * neither the kubelet nor Docker needs them, and a cleaned path would be a different endpoint.
 * Throws HttpError, or the signal's reason; neither contains header values. Aborting the signal
 * also ends an answer whose body is being read.
 */
export async function send(request: HttpRequest): Promise<Response> {
  const { url, client, method = "GET", headers = {}, body, signal, headersTimeoutMs } = request;
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
    const options = { method, headers, client, redirect: "manual", signal: connection.signal } as const;
    const response = await fetch(url, body === undefined ? options : { ...options, body });
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

/** Enough for most answers; the buffer doubles as often as a larger one needs. */
const FIRST_BUFFER_BYTES = 64 * 1024;

/** The most that the platform reads at once. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Returns the body as bytes. It must be complete within `timeoutMs` and not exceed `limit` bytes.
 * The connection is always released. Throws HttpError, or the signal's reason.
 */
export async function readBody(
  response: Response,
  options: { readonly limit: number; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Uint8Array<ArrayBuffer>> {
  if (response.body === null) return new Uint8Array();
  // Every read uses the same small buffer, whose contents are copied into one that grows. Thousands
  // of small buffers, kept to the end or left to the garbage collector, would leave holes in the
  // heap that are never filled. Reading into the large buffer would move it with every read, which
  // takes quadratic time.
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

// The platform refuses such a header too (RFC 9110, 5.5), but quotes its value.
function refuseUnsendable(headers: Readonly<Record<string, string>>): void {
  const name = Object.keys(headers).find((name) => !/^[\t\x20-\x7e]*$/.test(headers[name]!));
  if (name !== undefined) throw new HttpError(`the value of the header ${name} is not ASCII text`);
}

function secretsIn({ accept: _everybodys, ...headers }: Readonly<Record<string, string>>): string[] {
  return Object.values(headers).flatMap((value) => [value, value.replace(/^\S+ /, "")]);
}

// Deno prefixes every failure with the URL. Callers name their target, so only the reason is kept.
function failureOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^error sending request(?: from \S+)? for (?:url \(\S*\)|\S+(?: \(\S*\))?):?\s*/, "")
    .replace(/^client error \(\w+\): /, "") || "the request failed";
}
