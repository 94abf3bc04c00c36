// Byte strings for the fakes that speak binary formats: joining, length prefixes and a reader with bounds.
// It knows no format.

/** Bytes that own their buffer, as the platform's crypto wants them. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** The parts one after the other, in a buffer of its own. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** An unsigned big-endian integer of `width` bytes. */
export function uint(width: number, value: number): Bytes {
  return Uint8Array.from({ length: width }, (_, index) => Math.floor(value / 2 ** (8 * (width - 1 - index))) & 0xff);
}

/** The parts, preceded by their total length as an integer of `width` bytes. */
export function prefixed(width: number, ...parts: readonly Uint8Array[]): Bytes {
  const whole = concat(...parts);
  return concat(uint(width, whole.length), whole);
}

/** Whether two byte strings are equal. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

/** Reads integers and vectors from the front of a byte string; every read past the end throws a RangeError. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** How many bytes have not been read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  /** The next `size` bytes, copied. */
  take(size: number): Bytes {
    if (size > this.remaining) throw new RangeError(`${size} bytes wanted, ${this.remaining} left`);
    this.#offset += size;
    return new Uint8Array(this.#bytes.subarray(this.#offset - size, this.#offset));
  }

  /** The next unsigned big-endian integer of `width` bytes. */
  uint(width: number): number {
    return this.take(width).reduce((value, byte) => value * 256 + byte, 0);
  }

  /** The next byte string that is preceded by its length in `width` bytes. */
  vector(width: number): Bytes {
    return this.take(this.uint(width));
  }
}
