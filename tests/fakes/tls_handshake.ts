// The server's side of a TLS 1.3 handshake that asks the client for a certificate (RFC 8446, 4).
// One cipher suite, no resumption, no early data; it neither listens nor carries application data.

import { Buffer } from "node:buffer";
import {
  createECDH,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from "node:crypto";
import { ByteReader, type Bytes, concat, prefixed, sameBytes, uint } from "../support/bytes.ts";
import { type Certificate, clientCertificateProblem, readCertificate } from "./certificate_reader.ts";
import { CONTENT, expandLabel, HASH_SIZE, hmac, RecordStream, sha256, TlsAlert } from "./tls_records.ts";

/** What the server proves itself with: DER certificates, its own first, and that one's P-256 key. */
export interface ServerIdentity {
  readonly certificates: readonly Bytes[];
  readonly key: KeyObject;
}

/** How to treat the client; `requested` lets one without a trusted certificate in, as Go's RequestClientCert does. */
export interface HandshakePolicy {
  readonly identity: ServerIdentity;
  readonly clientAuthority: Certificate;
  readonly clientCertificates: "required" | "requested";
  readonly now: Date;
}

const MESSAGE = {
  clientHello: 1,
  serverHello: 2,
  encryptedExtensions: 8,
  certificate: 11,
  certificateRequest: 13,
  certificateVerify: 15,
  finished: 20,
  keyUpdate: 24,
  messageHash: 254,
} as const;

const EXTENSION = {
  supportedGroups: 10,
  signatureAlgorithms: 13,
  applicationProtocols: 16,
  supportedVersions: 43,
  keyShare: 51,
} as const;

const SCHEME = { ecdsaP256Sha256: 0x0403, rsaPssSha256: 0x0804, rsaPkcs1Sha256: 0x0401 } as const;
const GROUP = { p256: 0x0017, x25519: 0x001d } as const;
const TLS_1_2 = 0x0303;
const TLS_1_3 = 0x0304;
const TLS_AES_128_GCM_SHA256 = 0x1301;
const HTTP_1_1 = new TextEncoder().encode("http/1.1");
const NOTHING = Uint8Array.of();
// SHA-256 of "HelloRetryRequest": a ServerHello with this random is one (RFC 8446, 4.1.3).
const RETRY_RANDOM = sha256(new TextEncoder().encode("HelloRetryRequest"));
const X25519_SPKI_HEADER = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00);

/**
 * Brings a fresh connection to the point where application data flows. Answers the client's certificate, or undefined
 * when the policy lets a client in that has no trusted one. Throws TlsAlert (still to be sent) or PeerGone.
 */
export async function acceptClient(records: RecordStream, policy: HandshakePolicy): Promise<Certificate | undefined> {
  const handshake = new Handshake(records, policy);
  const hello = await handshake.agreeOnGroup();
  const secrets = await handshake.answerHello(hello);
  return await handshake.identifyClient(secrets);
}

/** Handles a handshake message that comes after the handshake: only KeyUpdate may (RFC 8446, 4.6.3). */
export async function answerPostHandshake(records: RecordStream, bytes: Uint8Array): Promise<void> {
  if (bytes[0] !== MESSAGE.keyUpdate) {
    throw new TlsAlert("unexpected_message", "a handshake message after the handshake");
  }
  records.updateReads();
  if (bytes[4] !== 1) return;
  const sent = records.send(CONTENT.handshake, message(MESSAGE.keyUpdate, Uint8Array.of(0)));
  records.updateWrites();
  await sent;
}

interface ClientHello {
  readonly sessionId: Bytes;
  readonly groups: readonly number[];
  readonly shares: ReadonlyMap<number, Bytes>;
  readonly offersHttp: boolean;
  readonly group: number;
}

interface Secrets {
  readonly client: Bytes;
  readonly clientApplication: Bytes;
}

class Handshake {
  readonly #records: RecordStream;
  readonly #policy: HandshakePolicy;
  #transcript: Bytes[] = [];
  #pending: Bytes = new Uint8Array();

  constructor(records: RecordStream, policy: HandshakePolicy) {
    this.#records = records;
    this.#policy = policy;
  }

  async agreeOnGroup(): Promise<ClientHello> {
    const first = readClientHello(await this.#receive(MESSAGE.clientHello));
    if (first.shares.has(first.group)) return first;
    this.#transcript = [message(MESSAGE.messageHash, sha256(...this.#transcript))];
    await this.#send(serverHello(first, RETRY_RANDOM, uint(2, first.group)));
    const second = readClientHello(await this.#receive(MESSAGE.clientHello));
    if (second.group === first.group && second.shares.has(first.group)) return second;
    throw new TlsAlert("illegal_parameter", "the second hello has no share of the group that was asked for");
  }

  async answerHello(hello: ClientHello): Promise<Secrets> {
    const exchange = exchangeKeys(hello.group, hello.shares.get(hello.group)!);
    const share = concat(uint(2, hello.group), prefixed(2, exchange.publicKey));
    await this.#send(serverHello(hello, randomBytes(32), share));
    if (hello.sessionId.length > 0) await this.#records.send(CONTENT.changeCipherSpec, Uint8Array.of(1));

    const early = hmac(new Uint8Array(HASH_SIZE), new Uint8Array(HASH_SIZE));
    const agreed = hmac(expandLabel(early, "derived", sha256()), exchange.secret);
    const client = expandLabel(agreed, "c hs traffic", this.#hash());
    const server = expandLabel(agreed, "s hs traffic", this.#hash());
    this.#records.protectReads(client);
    this.#records.protectWrites(server);

    const { identity } = this.#policy;
    const protocol = extension(EXTENSION.applicationProtocols, prefixed(2, prefixed(1, HTTP_1_1)));
    await this.#send(message(MESSAGE.encryptedExtensions, prefixed(2, hello.offersHttp ? protocol : NOTHING)));
    await this.#send(certificateRequest());
    await this.#send(certificateMessage(identity.certificates));
    const signature = sign("sha256", signedContent("server", this.#hash()), identity.key);
    await this.#send(message(MESSAGE.certificateVerify, uint(2, SCHEME.ecdsaP256Sha256), prefixed(2, signature)));
    await this.#send(message(MESSAGE.finished, this.#proofOf(server)));

    const main = hmac(expandLabel(agreed, "derived", sha256()), new Uint8Array(HASH_SIZE));
    this.#records.protectWrites(expandLabel(main, "s ap traffic", this.#hash()));
    return { client, clientApplication: expandLabel(main, "c ap traffic", this.#hash()) };
  }

  async identifyClient(secrets: Secrets): Promise<Certificate | undefined> {
    const leaf = readLeaf(await this.#receive(MESSAGE.certificate));
    if (leaf) {
      const content = signedContent("client", this.#hash());
      if (!await isSignedBy(leaf, content, await this.#receive(MESSAGE.certificateVerify))) {
        throw new TlsAlert("decrypt_error", "the client does not hold the key of its certificate");
      }
    }
    const problem = this.#problemWith(leaf);
    if (problem && this.#policy.clientCertificates === "required") throw new TlsAlert(problem);
    const expected = this.#proofOf(secrets.client);
    if (!sameBytes(await this.#receive(MESSAGE.finished), expected)) throw new TlsAlert("decrypt_error");
    if (this.#pending.length > 0) throw new TlsAlert("unexpected_message", "more handshake after Finished");
    this.#records.protectReads(secrets.clientApplication);
    return problem ? undefined : leaf;
  }

  #problemWith(leaf: Certificate | undefined) {
    const { clientAuthority, now } = this.#policy;
    return leaf === undefined ? "certificate_required" : clientCertificateProblem(leaf, clientAuthority, now);
  }

  #hash(): Bytes {
    return sha256(...this.#transcript);
  }

  #proofOf(secret: Bytes): Bytes {
    return hmac(expandLabel(secret, "finished", NOTHING), this.#hash());
  }

  async #send(handshakeMessage: Bytes): Promise<void> {
    this.#transcript.push(handshakeMessage);
    await this.#records.send(CONTENT.handshake, handshakeMessage);
  }

  /** The body of the next message, which must be of that type; the transcript then holds it. */
  async #receive(type: number): Promise<Bytes> {
    const whole = () => this.#pending.length >= 4 ? 4 + new ByteReader(this.#pending.subarray(1)).uint(3) : Infinity;
    while (this.#pending.length < whole()) {
      const record = await this.#records.receive();
      if (record.type !== CONTENT.handshake) throw new TlsAlert("unexpected_message", "not a handshake record");
      this.#pending = concat(this.#pending, record.bytes);
      if (this.#pending.length > 2 ** 17) throw new TlsAlert("decode_error", "a handshake message beyond reason");
    }
    const taken = this.#pending.slice(0, whole());
    this.#pending = this.#pending.slice(taken.length);
    if (taken[0] !== type) throw new TlsAlert("unexpected_message", `message ${taken[0]} in place of ${type}`);
    this.#transcript.push(taken);
    return taken.slice(4);
  }
}

function readClientHello(body: Uint8Array): ClientHello {
  const reader = new ByteReader(body);
  reader.take(2 + 32);
  const sessionId = reader.vector(1);
  const suites = integers(reader.vector(2));
  reader.vector(1);
  const extensions = new Map<number, Bytes>();
  for (const list = new ByteReader(reader.vector(2)); list.remaining > 0;) extensions.set(list.uint(2), list.vector(2));

  const versions = new ByteReader(extensions.get(EXTENSION.supportedVersions) ?? Uint8Array.of(0)).vector(1);
  if (!integers(versions).includes(TLS_1_3)) {
    throw new TlsAlert("protocol_version", "the client does not speak TLS 1.3");
  }
  if (!suites.includes(TLS_AES_128_GCM_SHA256)) throw new TlsAlert("handshake_failure", "no common cipher suite");
  const listOf = (type: number): ByteReader => {
    const found = extensions.get(type);
    if (!found) throw new TlsAlert("missing_extension", `the client's hello lacks extension ${type}`);
    return new ByteReader(new ByteReader(found).vector(2));
  };
  const schemes = listOf(EXTENSION.signatureAlgorithms);
  if (!integers(schemes.take(schemes.remaining)).includes(SCHEME.ecdsaP256Sha256)) {
    throw new TlsAlert("handshake_failure", "the client accepts no ECDSA P-256 signature");
  }
  const offered = listOf(EXTENSION.supportedGroups);
  const groups = integers(offered.take(offered.remaining));
  const shares = new Map<number, Bytes>();
  for (const list = listOf(EXTENSION.keyShare); list.remaining > 0;) shares.set(list.uint(2), list.vector(2));
  const ours = [GROUP.x25519, GROUP.p256];
  const group = ours.find((one) => shares.has(one)) ?? ours.find((one) => groups.includes(one));
  if (group === undefined) throw new TlsAlert("handshake_failure", "no common group");
  return { sessionId, groups, shares, group, offersHttp: offersHttp(extensions.get(EXTENSION.applicationProtocols)) };
}

function offersHttp(protocols: Bytes | undefined): boolean {
  if (!protocols) return false;
  for (const list = new ByteReader(new ByteReader(protocols).vector(2)); list.remaining > 0;) {
    if (sameBytes(list.vector(1), HTTP_1_1)) return true;
  }
  throw new TlsAlert("no_application_protocol", "the client does not offer http/1.1");
}

function exchangeKeys(group: number, peer: Bytes): { readonly publicKey: Bytes; readonly secret: Bytes } {
  try {
    if (group === GROUP.p256) {
      const own = createECDH("prime256v1");
      const publicKey = new Uint8Array(own.generateKeys());
      return { publicKey, secret: new Uint8Array(own.computeSecret(peer)) };
    }
    const own = generateKeyPairSync("x25519");
    const spki = Buffer.from(concat(X25519_SPKI_HEADER, peer));
    const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" });
    return {
      publicKey: new Uint8Array(own.publicKey.export({ type: "spki", format: "der" }).subarray(-32)),
      secret: new Uint8Array(diffieHellman({ privateKey: own.privateKey, publicKey })),
    };
  } catch (error) {
    throw new TlsAlert("illegal_parameter", "the client's key share is no point of its group", { cause: error });
  }
}

function serverHello(hello: ClientHello, random: Uint8Array, share: Uint8Array): Bytes {
  const extensions = [
    extension(EXTENSION.supportedVersions, uint(2, TLS_1_3)),
    extension(EXTENSION.keyShare, share),
  ];
  const suite = uint(2, TLS_AES_128_GCM_SHA256);
  const compression = Uint8Array.of(0);
  const session = prefixed(1, hello.sessionId);
  return message(
    MESSAGE.serverHello,
    uint(2, TLS_1_2),
    random,
    session,
    suite,
    compression,
    prefixed(2, ...extensions),
  );
}

function certificateRequest(): Bytes {
  const schemes = Object.values(SCHEME).map((scheme) => uint(2, scheme));
  const accepted = extension(EXTENSION.signatureAlgorithms, prefixed(2, ...schemes));
  return message(MESSAGE.certificateRequest, prefixed(1), prefixed(2, accepted));
}

function certificateMessage(certificates: readonly Bytes[]): Bytes {
  const entries = certificates.map((certificate) => concat(prefixed(3, certificate), prefixed(2)));
  return message(MESSAGE.certificate, prefixed(1), prefixed(3, ...entries));
}

/** The first certificate of a Certificate message; undefined when the client sent none. */
function readLeaf(body: Uint8Array): Certificate | undefined {
  const reader = new ByteReader(body);
  reader.vector(1);
  const entries = new ByteReader(reader.vector(3));
  if (entries.remaining === 0) return undefined;
  try {
    return readCertificate(entries.vector(3));
  } catch (error) {
    throw new TlsAlert("bad_certificate", "the client's certificate cannot be read", { cause: error });
  }
}

async function isSignedBy(leaf: Certificate, content: Bytes, body: Uint8Array): Promise<boolean> {
  const reader = new ByteReader(body);
  const scheme = reader.uint(2);
  const signature = reader.vector(2);
  const type = leaf.publicKey.asymmetricKeyType;
  if (scheme === SCHEME.ecdsaP256Sha256 && type === "ec") return verify("sha256", content, leaf.publicKey, signature);
  if (scheme === SCHEME.rsaPssSha256 && type === "rsa") {
    // Deno's node:crypto takes every RSA signature for PKCS #1 v1.5, whatever padding it is told.
    const spki = new Uint8Array(leaf.publicKey.export({ type: "spki", format: "der" }));
    const key = await crypto.subtle.importKey("spki", spki, { name: "RSA-PSS", hash: "SHA-256" }, false, ["verify"]);
    return await crypto.subtle.verify({ name: "RSA-PSS", saltLength: HASH_SIZE }, key, signature, content);
  }
  throw new TlsAlert("illegal_parameter", `signature scheme ${scheme} was not asked for`);
}

function signedContent(side: "server" | "client", transcriptHash: Bytes): Bytes {
  const preamble = `${" ".repeat(64)}TLS 1.3, ${side} CertificateVerify\0`;
  return concat(new TextEncoder().encode(preamble), transcriptHash);
}

function message(type: number, ...parts: readonly Uint8Array[]): Bytes {
  return concat(Uint8Array.of(type), prefixed(3, ...parts));
}

function extension(type: number, content: Uint8Array): Bytes {
  return concat(uint(2, type), prefixed(2, content));
}

function integers(bytes: Uint8Array): number[] {
  return Array.from(
    { length: Math.floor(bytes.length / 2) },
    (_, index) => bytes[2 * index]! * 256 + bytes[2 * index + 1]!,
  );
}
