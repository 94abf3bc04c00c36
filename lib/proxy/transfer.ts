// The bytes of one blob, from as many mirrors as it takes: where one stops, the next continues at
// the same byte. Sees every chunk, and so hashes them and notices a mirror that hangs.

import { createHash, type Hash } from "node:crypto";
import type { Candidate } from "../images/rules.ts";
import { describeError } from "../support/errors.ts";
import { BatchReader, StalledError } from "../support/http/batches.ts";
import { UpstreamError } from "./upstream.ts";

/** A candidate's answer, whose body begins at the byte that was requested, or at the first one. */
export interface Opened {
  readonly candidate: Candidate;
  readonly response: Response;
}

/** A candidate that may continue the blob. */
export interface BlobSource {
  readonly candidate: Candidate;
  /** Whether its mirror must not be contacted now. */
  isCoolingDown(): boolean;
  /** Requests the blob from this byte (0-based) on. Throws UpstreamError, or the signal's reason. */
  open(from: number): Promise<Response>;
}

/** One blob, and who hears of it. */
export interface TransferOptions {
  /** `algorithm:hex`. */
  readonly digest: string;
  /** The first byte that the client wants. */
  readonly from: number;
  /** The byte after the last one that the client wants. */
  readonly end: number;
  /** The size of the complete blob. */
  readonly size: number;
  /** Milliseconds without a byte after which a mirror is given up. */
  readonly stallTimeoutMs: number;
  /** Milliseconds, by Clock.now. */
  readonly now: () => number;
  readonly signal: AbortSignal;
  /** A mirror stopped, could not continue, or took part in contents with another digest. */
  readonly failed: (candidate: Candidate, error: UpstreamError) => void;
  /** Another mirror continues at this byte. */
  readonly resumed: (candidate: Candidate, at: number) => void;
  /** The mirror that sent the last byte, if the contents have the digest, or only a part was requested. */
  readonly completed: (candidate: Candidate) => void;
  /** This many further bytes are on their way to the client. */
  readonly delivered: (bytes: number) => void;
}

interface Progress {
  /** The next byte to send. */
  at: number;
  /** Of the complete blob; undefined if only a part was requested. */
  readonly hash: Hash | undefined;
}

/**
 * Yields the blob's bytes. `first` is the answer of the candidate that began; `rest` are those to
 * continue with, in order. A chunk is valid until the next one is requested. Throws the last
 * mirror's UpstreamError when all have failed, or the signal's reason.
 */
export async function* transfer(
  first: Opened,
  rest: readonly BlobSource[],
  options: TransferOptions,
): AsyncGenerator<Uint8Array, void> {
  const { digest, from, end, size, signal, failed, resumed } = options;
  const isWhole = from === 0 && end === size;
  const progress: Progress = { at: from, hash: isWhole ? createHash(algorithmOf(digest)) : undefined };
  const waiting = [...rest];
  const delivered: Candidate[] = [];
  for (let source = first;;) {
    delivered.push(source.candidate);
    try {
      yield* bytesOf(source, progress, options);
      break;
    } catch (error) {
      signal.throwIfAborted();
      const { candidate } = source;
      const failure = failureOf(candidate, progress, digest, error);
      failed(candidate, failure);
      const next = await nextSource(waiting, progress.at, options);
      if (next === undefined) throw failure;
      resumed(next.candidate, progress.at);
      source = next;
    }
  }
  // The client has every byte and finds the same; what is left is to leave these mirrors alone.
  const found = progress.hash?.digest("hex");
  if (found !== undefined && !digest.endsWith(`:${found}`)) {
    for (const candidate of delivered) failed(candidate, mistaken(candidate, options, found));
  } else options.completed(delivered.at(-1)!);
}

async function* bytesOf(
  { candidate: { mirror }, response }: Opened,
  progress: Progress,
  options: TransferOptions,
): AsyncGenerator<Uint8Array, void> {
  const { digest, end, size } = options;
  // A mirror that ignores ranges begins at the first byte.
  let skip = response.status === 206 ? 0 : progress.at;
  const reader = response.body === null ? undefined : new BatchReader(response.body, options);
  try {
    while (progress.at < end) {
      const bytes = await reader?.next();
      if (bytes === undefined) {
        throw new UpstreamError("registry-down", `${mirror} ended blob ${digest} at byte ${progress.at} of ${size}`);
      }
      const wanted = bytes.subarray(Math.min(skip, bytes.byteLength)).subarray(0, end - progress.at);
      skip = Math.max(0, skip - bytes.byteLength);
      if (wanted.byteLength > 0) {
        progress.hash?.update(wanted);
        progress.at += wanted.byteLength;
        options.delivered(wanted.byteLength);
        yield wanted;
      }
    }
  } finally {
    reader?.close();
  }
}

/** The next candidate that continues at this byte, or undefined. */
async function nextSource(
  waiting: BlobSource[],
  at: number,
  { digest, size, signal, failed }: TransferOptions,
): Promise<Opened | undefined> {
  for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) {
    const { candidate } = source;
    if (source.isCoolingDown()) continue;
    try {
      const response = await source.open(at);
      const found = totalOf(response, at);
      if (found === size) return { candidate, response };
      await response.body?.cancel();
      const message = `${candidate.mirror} has ${found} bytes of blob ${digest} instead of ${size}`;
      failed(candidate, new UpstreamError("registry-error", message));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof UpstreamError)) throw error;
      failed(candidate, error);
    }
  }
  return undefined;
}

/** The size of the complete blob by an answer that begins at `at`, or undefined if it begins elsewhere. */
export function totalOf({ status, headers }: Response, at: number): number | undefined {
  if (status === 200) return lengthOf(headers.get("content-length"));
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get("content-range") ?? "") ?? [];
  return from === undefined || Number(from) !== at ? undefined : lengthOf(total ?? null);
}

function lengthOf(text: string | null): number | undefined {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function algorithmOf(digest: string): string {
  return digest.slice(0, digest.indexOf(":"));
}

function failureOf({ mirror }: Candidate, { at }: Progress, digest: string, error: unknown): UpstreamError {
  if (error instanceof UpstreamError) return error;
  const kind = error instanceof StalledError ? "stalled" : "registry-down";
  return new UpstreamError(kind, `${mirror} stopped blob ${digest} at byte ${at}: ${describeError(error)}`);
}

function mistaken({ mirror }: Candidate, { digest }: TransferOptions, found: string): UpstreamError {
  const message = `${mirror} delivered blob ${digest} with the digest ${algorithmOf(digest)}:${found}`;
  return new UpstreamError("registry-error", message);
}
