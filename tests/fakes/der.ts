// Encodes the part of ASN.1 DER (ITU-T X.690) that X.509 certificates need.

/** Tags of the universal class that certificates use. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const;

/** Bytes that own their buffer, as the platform's crypto requires. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Concatenates the parts into a new buffer. */
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

/** Encodes a value with its tag and length; the content is the concatenated parts. */
export function encode(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const content = concat(...parts);
  if (content.length < 0x80) return concat(Uint8Array.of(tag, content.length), content);
  const width = content.length < 0x100 ? 1 : content.length < 0x10000 ? 2 : 3;
  return concat(Uint8Array.of(tag, 0x80 | width), uint(width, content.length), content);
}

/** SEQUENCE of the parts. */
export function sequence(...parts: readonly Uint8Array[]): Bytes {
  return encode(TAG.sequence, ...parts);
}

/** INTEGER from unsigned big-endian bytes. */
export function integer(magnitude: Uint8Array): Bytes {
  return encode(TAG.integer, magnitude[0]! >= 0x80 ? Uint8Array.of(0) : Uint8Array.of(), magnitude);
}

/** BIT STRING; the lowest `unusedBits` bits of the last byte are not part of it. */
export function bitString(bits: Uint8Array, unusedBits = 0): Bytes {
  return encode(TAG.bitString, Uint8Array.of(unusedBits), bits);
}

/** OBJECT IDENTIFIER from its dotted form. */
export function objectIdentifier(dotted: string): Bytes {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return encode(TAG.objectIdentifier, ...[first * 40 + second, ...rest].map(base128));
}

/** UTF8String. */
export function utf8String(text: string): Bytes {
  return encode(TAG.utf8String, new TextEncoder().encode(text));
}

/** UTCTime through 2049, GeneralizedTime after that, as RFC 5280 requires; in whole seconds. */
export function time(date: Date): Bytes {
  const digits = date.toISOString().replace(/\.\d+/, "").replace(/[-:T]/g, "");
  const early = date.getUTCFullYear() < 2050;
  return encode(early ? TAG.utcTime : TAG.generalizedTime, new TextEncoder().encode(early ? digits.slice(2) : digits));
}

function base128(value: number): Bytes {
  const digits = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) digits.unshift(0x80 | (rest & 0x7f));
  return Uint8Array.from(digits);
}
