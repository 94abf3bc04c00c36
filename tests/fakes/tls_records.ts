// The record layer of TLS 1.3 with TLS_AES_128_GCM_SHA256, and its key schedule (RFC 8446, 5 and 7).
// It moves and protects bytes; what handshake messages mean is not known here.

import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createHash, createHmac } from "node:crypto";
import { ByteReader, type Bytes, concat, prefixed, uint } from "../support/bytes.ts";

/** Content types of records (RFC 8446, 5.1). */
export const CONTENT = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(CONTENT));

/** The alerts that are sent here, by their names in RFC 8446, 6. */
export const ALERT = {
  close_notify: 0,
  unexpected_message: 10,
  bad_record_mac: 20,
  record_overflow: 22,
  handshake_failure: 40,
  bad_certificate: 42,
  unsupported_certificate: 43,
  certificate_expired: 45,
  illegal_parameter: 47,
  unknown_ca: 48,
  decode_error: 50,
  decrypt_error: 51,
  protocol_version: 70,
  internal_error: 80,
  missing_extension: 109,
  certificate_required: 116,
  no_application_protocol: 120,
} as const;

export type AlertName = keyof typeof ALERT;

/** A reason to end the connection that the peer is told. */
export class TlsAlert extends Error {
  override name = "TlsAlert";
  readonly alert: AlertName;

  constructor(alert: AlertName, message: string = alert, options?: ErrorOptions) {
    super(message, options);
    this.alert = alert;
  }
}

/** The peer ended the connection: with an alert of this number, or without a word. */
export class PeerGone extends Error {
  override name = "PeerGone";
  readonly alert: number | undefined;

  constructor(alert?: number) {
    super(alert === undefined ? "the peer closed the connection" : `the peer sent alert ${alert}`);
    this.alert = alert;
  }
}

/** Length in bytes of a hash, and so of every secret. */
export const HASH_SIZE = 32;
const TAG_SIZE = 16;
const NONCE_SIZE = 12;
const LARGEST_PLAINTEXT = 2 ** 14;
const LARGEST_RECORD = LARGEST_PLAINTEXT + 256;

/** SHA-256 of the parts, one after the other. */
export function sha256(...parts: readonly Uint8Array[]): Bytes {
  return new Uint8Array(createHash("sha256").update(Buffer.from(concat(...parts))).digest());
}

/** HMAC-SHA-256; as HKDF-Extract, `key` is the salt. */
export function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Bytes {
  return new Uint8Array(createHmac("sha256", Buffer.from(key)).update(Buffer.from(concat(...parts))).digest());
}

/** HKDF-Expand-Label of at most one hash (RFC 8446, 7.1); a secret is derived with a transcript hash as context. */
export function expandLabel(secret: Uint8Array, label: string, context: Uint8Array, size = HASH_SIZE): Bytes {
  const name = new TextEncoder().encode(`tls13 ${label}`);
  return hmac(secret, uint(2, size), prefixed(1, name), prefixed(1, context), Uint8Array.of(1)).slice(0, size);
}

/** One direction of a protected connection: the keys of one secret and the number of the next record. */
class Protection {
  readonly #secret: Bytes;
  readonly #key: Buffer;
  readonly #mask: Bytes;
  #sequence = 0;

  constructor(secret: Bytes) {
    this.#secret = secret;
    this.#key = Buffer.from(expandLabel(secret, "key", Uint8Array.of(), 16));
    this.#mask = expandLabel(secret, "iv", Uint8Array.of(), NONCE_SIZE);
  }

  /** The protection that follows a KeyUpdate (RFC 8446, 7.2). */
  updated(): Protection {
    return new Protection(expandLabel(this.#secret, "traffic upd", Uint8Array.of()));
  }

  seal(type: number, plaintext: Uint8Array): Bytes {
    const header = recordHeader(CONTENT.applicationData, plaintext.length + 1 + TAG_SIZE);
    const cipher = createCipheriv("aes-128-gcm", this.#key, this.#nextNonce());
    cipher.setAAD(Buffer.from(header));
    const body = cipher.update(Buffer.from(concat(plaintext, Uint8Array.of(type))));
    cipher.final();
    return concat(header, body, cipher.getAuthTag());
  }

  open(header: Uint8Array, sealed: Uint8Array): { type: number; bytes: Bytes } {
    if (sealed.length <= TAG_SIZE) throw new TlsAlert("bad_record_mac", "a protected record without content");
    const cipher = createDecipheriv("aes-128-gcm", this.#key, this.#nextNonce());
    cipher.setAAD(Buffer.from(header));
    cipher.setAuthTag(Buffer.from(sealed.subarray(-TAG_SIZE)));
    const padded = new Uint8Array(cipher.update(Buffer.from(sealed.subarray(0, -TAG_SIZE))));
    try {
      cipher.final();
    } catch (error) {
      throw new TlsAlert("bad_record_mac", "a record that was not made with the agreed keys", { cause: error });
    }
    // The true content type is the last byte that is not padding.
    const end = padded.findLastIndex((byte) => byte !== 0);
    if (end < 0) throw new TlsAlert("unexpected_message", "a record of nothing but padding");
    return { type: padded[end]!, bytes: padded.slice(0, end) };
  }

  #nextNonce(): Buffer {
    const number = concat(new Uint8Array(NONCE_SIZE - 8), uint(8, this.#sequence++));
    return Buffer.from(this.#mask.map((byte, index) => byte ^ number[index]!));
  }
}

/** Records over one TCP connection, plain until secrets are agreed on. */
export class RecordStream {
  readonly #connection: Deno.Conn;
  readonly #chunk = new Uint8Array(32 * 1024);
  #received: Bytes = new Uint8Array();
  #reading: Protection | undefined;
  #writing: Protection | undefined;
  #written: Promise<void> = Promise.resolve();

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  protectReads(secret: Bytes): void {
    this.#reading = new Protection(secret);
  }

  protectWrites(secret: Bytes): void {
    this.#writing = new Protection(secret);
  }

  /** The peer changed its sending keys. */
  updateReads(): void {
    this.#reading = this.#reading?.updated();
  }

  /** Changes the own sending keys; the KeyUpdate that says so must have been handed to `send` before. */
  updateWrites(): void {
    this.#writing = this.#writing?.updated();
  }

  /** The next record that is no alert, in plain. Throws PeerGone at an alert or the end, TlsAlert at a bad record. */
  async receive(): Promise<{ type: number; bytes: Bytes }> {
    for (;;) {
      const header = await this.#take(5);
      const type = header[0]!;
      if (!KNOWN_TYPES.has(type)) throw new TlsAlert("unexpected_message", "the peer does not speak TLS");
      const size = new ByteReader(header.subarray(3)).uint(2);
      if (size > LARGEST_RECORD) throw new TlsAlert("record_overflow", `a record of ${size} bytes`);
      const body = await this.#take(size);
      // Sent for the sake of middleboxes, in the clear, and to be dropped (RFC 8446, D.4).
      if (type === CONTENT.changeCipherSpec) continue;
      const isSealed = this.#reading !== undefined && type === CONTENT.applicationData;
      const record = isSealed ? this.#reading!.open(header, body) : { type, bytes: body };
      if (record.type === CONTENT.alert) throw new PeerGone(record.bytes[1]);
      if (this.#reading !== undefined && !isSealed) throw new TlsAlert("unexpected_message", "a record in the clear");
      return record;
    }
  }

  /** Sends bytes as one or more records; resolves when the connection has taken them. */
  send(type: number, bytes: Uint8Array): Promise<void> {
    const records: Bytes[] = [];
    for (let offset = 0; offset < bytes.length; offset += LARGEST_PLAINTEXT) {
      const piece = bytes.subarray(offset, offset + LARGEST_PLAINTEXT);
      const plain = type === CONTENT.changeCipherSpec || this.#writing === undefined;
      records.push(plain ? concat(recordHeader(type, piece.length), piece) : this.#writing!.seal(type, piece));
    }
    // Sealed in the order of the calls, so they must also leave in that order.
    this.#written = this.#written.then(() => writeAll(this.#connection, concat(...records)));
    return this.#written;
  }

  async #take(size: number): Promise<Bytes> {
    while (this.#received.length < size) {
      const count = await this.#connection.read(this.#chunk);
      if (count === null) throw new PeerGone();
      this.#received = concat(this.#received, this.#chunk.subarray(0, count));
    }
    const taken = this.#received.slice(0, size);
    this.#received = this.#received.slice(size);
    return taken;
  }
}

/** Writes every byte; a single write may take fewer. */
export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length;) offset += await connection.write(bytes.subarray(offset));
}

function recordHeader(type: number, size: number): Bytes {
  return concat(Uint8Array.of(type), uint(2, 0x0303), uint(2, size));
}
