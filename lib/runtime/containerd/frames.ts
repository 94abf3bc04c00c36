// Messages as gRPC sends them: a byte of flags, four bytes of length, and the message (gRPC,
// PROTOCOL-HTTP2.md, "Length-Prefixed-Message"). Pure.

const HEAD_BYTES = 5;

/** Thrown for bytes that are not whole messages. */
export class FrameError extends Error {
  override name = "FrameError";
}

/** Returns a message with its head. */
export function framed(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEAD_BYTES + message.byteLength);
  new DataView(bytes.buffer).setUint32(1, message.byteLength);
  bytes.set(message, HEAD_BYTES);
  return bytes;
}

/** Splits a stream into messages, however its chunks fall. */
export class FrameReader {
  readonly #limit: number;
  /** What has arrived and is not yet whole, and its size. */
  #chunks: Uint8Array[] = [];
  #held = 0;
  /** The bytes without which nothing more can be read: a large message is put together once. */
  #wanted = HEAD_BYTES;

  /** `limit` is the most bytes of one message. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Returns the messages that this chunk completes. Throws FrameError. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#chunks.push(chunk);
    this.#held += chunk.byteLength;
    if (this.#held < this.#wanted) return [];
    const bytes = joined(this.#chunks, this.#held);
    const messages: Uint8Array[] = [];
    let at = 0;
    this.#wanted = HEAD_BYTES;
    while (bytes.byteLength - at >= HEAD_BYTES) {
      const length = this.#lengthIn(new DataView(bytes.buffer, bytes.byteOffset + at, HEAD_BYTES));
      this.#wanted = HEAD_BYTES + length;
      if (bytes.byteLength - at < this.#wanted) break;
      messages.push(bytes.slice(at + HEAD_BYTES, at + this.#wanted));
      at += this.#wanted;
      this.#wanted = HEAD_BYTES;
    }
    const rest = bytes.slice(at);
    this.#chunks = [rest];
    this.#held = rest.byteLength;
    return messages;
  }

  #lengthIn(head: DataView): number {
    // No compression was offered, so no message may be compressed.
    if (head.getUint8(0) !== 0) throw new FrameError(`a message begins with the byte ${head.getUint8(0)}`);
    const length = head.getUint32(1);
    if (length > this.#limit) throw new FrameError(`a message of ${length} bytes, at most ${this.#limit} are taken`);
    return length;
  }

  /** Throws FrameError if the stream ended within a message. */
  end(): void {
    if (this.#held > 0) throw new FrameError("the answer ends within a message");
  }
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = chunks;
  if (chunks.length === 1 && first !== undefined) return first;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}
