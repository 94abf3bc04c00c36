// The part of ASN.1 DER that X.509 certificates need, written and read (ITU-T X.690).
// It knows no certificate.

import { ByteReader, type Bytes, concat, uint } from "../support/bytes.ts";

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

/** One value: its tag, its content without the header, and the whole encoding, header included. */
export interface DerValue {
  readonly tag: number;
  readonly content: Bytes;
  readonly whole: Bytes;
}

/** Any value by its tag; a constructed one is made of its parts. */
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

/** BIT STRING; `unusedBits` of the last byte do not count. */
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

/** UTCTime up to 2049, GeneralizedTime from then on, as RFC 5280 wants it; whole seconds. */
export function time(date: Date): Bytes {
  const digits = date.toISOString().replace(/\.\d+/, "").replace(/[-:T]/g, "");
  const early = date.getUTCFullYear() < 2050;
  return encode(early ? TAG.utcTime : TAG.generalizedTime, new TextEncoder().encode(early ? digits.slice(2) : digits));
}

/** The values that stand one after the other in `bytes`; throws a RangeError where they are cut off. */
export function decode(bytes: Uint8Array): DerValue[] {
  const values: DerValue[] = [];
  const reader = new ByteReader(bytes);
  while (reader.remaining > 0) {
    const start = bytes.length - reader.remaining;
    const tag = reader.uint(1);
    const short = reader.uint(1);
    const content = reader.take(short < 0x80 ? short : reader.uint(short & 0x7f));
    values.push({ tag, content, whole: new Uint8Array(bytes.subarray(start, bytes.length - reader.remaining)) });
  }
  return values;
}

/** The dotted form of an OBJECT IDENTIFIER's content. */
export function dotted(content: Uint8Array): string {
  const numbers: number[] = [];
  let value = 0;
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      numbers.push(value);
      value = 0;
    }
  }
  const [first = 0, ...rest] = numbers;
  const root = Math.min(Math.floor(first / 40), 2);
  return [root, first - root * 40, ...rest].join(".");
}

/** The instant of a UTCTime or GeneralizedTime. */
export function dateOf(value: DerValue): Date {
  const text = new TextDecoder().decode(value.content);
  const century = Number(text.slice(0, 2)) < 50 ? "20" : "19";
  const digits = value.tag === TAG.utcTime ? century + text : text;
  return new Date(digits.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
}

function base128(value: number): Bytes {
  const digits = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) digits.unshift(0x80 | (rest & 0x7f));
  return Uint8Array.from(digits);
}
