// Reads a body that is passed on in batches, as each costs about the same whatever its size.
// Notices a sender that hangs.

/** The most in one batch; the reader's only buffer. */
const BATCH_BYTES = 512 * 1024;

/** The longest that a steady sender fills a batch, in milliseconds. */
const FILL_MS = 50;

/** By how much a sender must slow down to hang. */
const SLOWER = 1000;

/** Thrown when a body's sender hangs. */
export class StalledError extends Error {
  override name = "StalledError";
}

/** Options of a reader. */
export interface BatchReaderOptions {
  /** Milliseconds without a byte after which the sender hangs; see BatchReader. */
  readonly stallTimeoutMs: number;
  /** Milliseconds, by Clock.now. */
  readonly now: () => number;
  /** Ends a call that waits. */
  readonly signal: AbortSignal;
}

/**
 * The platform returns a body over TLS by the record, 16 KiB (RFC 8446, 5.1), so this waits for as
 * many bytes as arrived in a moment before: at first for one, and from one batch to the next for
 * twice as many at the most. A sender that was fast hangs as soon as it is SLOWER times slower.
 */
export class BatchReader {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #options: BatchReaderOptions;
  readonly #cancel = () => void this.#reader.cancel().catch(() => {});
  #buffer = new ArrayBuffer(BATCH_BYTES);
  #least = 1;

  constructor(body: ReadableStream<Uint8Array<ArrayBuffer>>, options: BatchReaderOptions) {
    this.#reader = body.getReader({ mode: "byob" });
    this.#options = options;
    options.signal.addEventListener("abort", this.#cancel, { once: true });
    if (options.signal.aborted) this.#cancel();
  }

  /**
   * Returns the next bytes, which are valid until the next call, or undefined at the end. Throws
   * StalledError, the signal's reason, or the platform's error if the body was cut off; bytes that
   * arrived since the last batch are lost then.
   */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { stallTimeoutMs, now, signal } = this.#options;
    const min = this.#least;
    let isStalled = false;
    const timer = setTimeout(() => {
      isStalled = true;
      this.#cancel();
    }, stallTimeoutMs);
    const start = now();
    try {
      const { value } = await this.#reader.read(new Uint8Array(this.#buffer), { min });
      signal.throwIfAborted();
      if (isStalled) {
        throw new StalledError(
          `${min === 1 ? "nothing" : `less than ${min} bytes`} arrived in ${stallTimeoutMs / 1000} s`,
        );
      }
      // The end comes with the bytes before it.
      if (value === undefined || value.byteLength === 0) return undefined;
      this.#buffer = value.buffer;
      const fillMs = Math.min(FILL_MS, stallTimeoutMs / SLOWER);
      const perFill = value.byteLength * fillMs / (now() - start);
      this.#least = Math.max(1, Math.floor(Math.min(perFill, 2 * value.byteLength, BATCH_BYTES)));
      return value;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Releases the connection. */
  close(): void {
    this.#options.signal.removeEventListener("abort", this.#cancel);
    this.#cancel();
  }
}
