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
  #rest: Uint8Array = new Uint8Array();

  /** `limit` is the most bytes of one message. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Returns the messages that this chunk completes. Throws FrameError. */
  push(chunk: Uint8Array): Uint8Array[] {
    const bytes = joined(this.#rest, chunk);
    const messages: Uint8Array[] = [];
    let at = 0;
    while (bytes.byteLength - at >= HEAD_BYTES) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEAD_BYTES);
      // No compression was offered, so no message may be compressed.
      if (view.getUint8(0) !== 0) throw new FrameError(`a message begins with the byte ${view.getUint8(0)}`);
      const length = view.getUint32(1);
      if (length > this.#limit) throw new FrameError(`a message of ${length} bytes, at most ${this.#limit} are taken`);
      if (bytes.byteLength - at < HEAD_BYTES + length) break;
      messages.push(bytes.slice(at + HEAD_BYTES, at + HEAD_BYTES + length));
      at += HEAD_BYTES + length;
    }
    this.#rest = bytes.slice(at);
    return messages;
  }

  /** Throws FrameError if the stream ended within a message. */
  end(): void {
    if (this.#rest.byteLength > 0) throw new FrameError("the answer ends within a message");
  }
}

function joined(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (left.byteLength === 0) return right;
  const whole = new Uint8Array(left.byteLength + right.byteLength);
  whole.set(left);
  whole.set(right, left.byteLength);
  return whole;
}
