// Checks a client certificate and its key before TLS uses them: Deno's createHttpClient ends the
// process if they do not parse or do not match. Reads no files, and never puts key material in a
// message.

import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { type CertificateFacts, certificateFacts, mistakeInOwnCertificate } from "./certificate_facts.ts";

/**
 * Thrown for a certificate or key that TLS cannot use; the message says which of the two and why.
 */
export class ClientCertificateError extends Error {
  override name = "ClientCertificateError";
}

const KEY_LABEL = /^(?:RSA |EC )?PRIVATE KEY$/;

/**
 * The keys that rustls can sign with (rustls crypto/aws_lc_rs/sign.rs) and Deno can parse. This
 * excludes P-521: a damaged key would not be noticed before TLS ends the process.
 */
const KEY_TYPES = new Set(["rsa", "ec", "ed25519"]);
const CURVES = new Set(["p256", "p384"]);
const RSA_BITS = { least: 2048, most: 8192 };
const USABLE = "RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519 can be used; " +
  "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE makes one";

/** secp521r1 (RFC 5480, 2.1.1.1) as DER has it. */
const P521 = Buffer.from("06052b81040023", "hex");

/** A block of a PEM text (RFC 7468). */
export interface PemBlock {
  readonly label: string;
  /** The line on which it begins, from 1. */
  readonly line: number;
  /** The whole block; undefined if it is cut off or not base64. */
  readonly pem: string | undefined;
}

/** A byte order mark, which some editors write, and which then is before every part of a bundle. */
const BYTE_ORDER_MARKS = /\ufeff/g;

/** Returns a text as TLS reads PEM: without byte order marks. */
export function plainPem(text: string): string {
  return text.replace(BYTE_ORDER_MARKS, "");
}

/** Returns all blocks of a PEM text, in order. Byte order marks and text between blocks are ignored. */
export function pemBlocks(text: string): PemBlock[] {
  const plain = plainPem(text);
  let [line, counted] = [1, 0];
  return [...plain.matchAll(/^-----BEGIN ([A-Z0-9 ]+)-----[ \t\r]*$([^]*?)(?=^-----BEGIN |(?![^]))/gm)].map(
    ({ 0: all, 1: label = "", 2: rest = "", index }) => {
      const end = rest.indexOf(`-----END ${label}-----`);
      const base64 = rest.slice(0, Math.max(0, end)).replace(/\s/g, "");
      const isWhole = base64.length > 0 && base64.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(base64);
      const length = all.length - rest.length + end + `-----END ${label}-----`.length;
      line += plain.slice(counted, index).split("\n").length - 1;
      counted = index;
      return { label, line, pem: isWhole ? all.slice(0, length) : undefined };
    },
  );
}

/**
 * Returns what is wrong with the certificates and private keys of a PEM text, as one sentence about
 * the block, or undefined if each can be parsed. Not about key types; see checkClientCertificate.
 */
export function mistakeInBlocks(text: string): string | undefined {
  const blocks = pemBlocks(text).filter(({ label }) => label === CERTIFICATE || KEY_LABEL.test(label));
  for (const block of blocks) {
    const isOnly = blocks.filter(({ label }) => label === block.label).length === 1;
    const which = `its ${block.label} block${isOnly ? "" : ` at line ${block.line}`}`;
    if (block.pem === undefined) return `${which} is incomplete`;
    if (block.label === CERTIFICATE && !canParse(block.pem)) return `${which} is not a certificate that can be parsed`;
  }
  return undefined;
}

const CERTIFICATE = "CERTIFICATE";

function canParse(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}

/**
 * Checks that TLS can authenticate with this PEM certificate (chain, leaf first) and PEM private
 * key. Both may be in the same text. Throws ClientCertificateError.
 */
export function checkClientCertificate(certificatePem: string, keyPem: string): void {
  const chain = certificatesIn(certificatePem).map(derOf);
  const publicKey = publicKeyOf(keyPem);
  const owner = chain.findIndex((der) => der.includes(publicKey));
  if (owner < 0) throw new ClientCertificateError("the key does not belong to the certificate");
  if (owner > 0) {
    const message =
      `the key belongs to the certificate at place ${owner + 1} of the file, and TLS presents the first: ` +
      "put that one first, and after it the CAs that signed it";
    throw new ClientCertificateError(message);
  }
  const mistake = mistakeInOwnCertificate(chain[0]!);
  if (mistake !== undefined) throw new ClientCertificateError(mistake);
}

/**
 * Returns the facts of each certificate in a PEM text, in order, at least one. Throws
 * ClientCertificateError.
 */
export function readCertificates(pem: string): CertificateFacts[] {
  return certificatesIn(pem).map((block) => certificateFacts(new X509Certificate(block)));
}

/**
 * Returns those of these host names for which the first certificate in a PEM text is not good
 * (RFC 6125). Throws ClientCertificateError.
 */
export function namesWithout(pem: string, hosts: readonly string[]): string[] {
  const leaf = new X509Certificate(certificatesIn(pem)[0]!);
  return hosts.filter((host) => leaf.checkHost(host) === undefined);
}

/**
 * Returns the PEM certificates in a text, at least one, each of which parses. Throws
 * ClientCertificateError.
 */
function certificatesIn(pem: string): string[] {
  const blocks = pemBlocks(pem).filter(({ label }) => label === CERTIFICATE);
  if (blocks.length === 0) throw new ClientCertificateError("there is no complete PEM certificate");
  const mistake = mistakeInBlocks(pem);
  if (mistake !== undefined) throw new ClientCertificateError(mistake);
  return blocks.flatMap(({ pem }) => pem ?? []);
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[A-Z0-9 ]+-----/g, ""), "base64");
}

/** Returns the public key in the encoding that a certificate has (RFC 5280, subjectPublicKeyInfo). */
function publicKeyOf(keyPem: string): Buffer {
  const block = pemBlocks(keyPem).find(({ label, pem }) => KEY_LABEL.test(label) && pem !== undefined)?.pem;
  if (block === undefined) throw new ClientCertificateError("there is no complete, unencrypted PEM private key");
  if (derOf(block).includes(P521)) throw new ClientCertificateError(`the private key is P-521: ${USABLE}`);
  return createPublicKey(privateKeyOf(block)).export({ type: "spki", format: "der" });
}

function privateKeyOf(block: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(block);
  } catch {
    throw new ClientCertificateError(`the private key cannot be parsed: ${USABLE}`);
  }
  const { namedCurve: curve, modulusLength: bits } = key.asymmetricKeyDetails ?? {};
  const isSize = bits === undefined || (bits >= RSA_BITS.least && bits <= RSA_BITS.most);
  if (!isSize || !KEY_TYPES.has(key.asymmetricKeyType ?? "") || (curve !== undefined && !CURVES.has(curve))) {
    const type = [key.asymmetricKeyType?.toUpperCase(), curve, bits && `of ${bits} bits`].filter(Boolean).join(" ");
    throw new ClientCertificateError(`the private key is ${type}: ${USABLE}`);
  }
  return key;
}
