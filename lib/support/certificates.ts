// Checks a client certificate and its key before TLS uses them: Deno's createHttpClient ends the
// process if they do not parse or do not match. Reads no files, and never puts key material in a
// message.

import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { type CertificateFacts, certificateFacts } from "./certificate_facts.ts";

/**
 * Thrown for a certificate or key that TLS cannot use; the message says which of the two and why.
 */
export class ClientCertificateError extends Error {
  override name = "ClientCertificateError";
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const PRIVATE_KEY = /-----BEGIN (?:RSA |EC )?PRIVATE KEY-----[^-]+-----END (?:RSA |EC )?PRIVATE KEY-----/;

/**
 * The keys that rustls can sign with (rustls crypto/aws_lc_rs/sign.rs) and Deno can parse. This
 * excludes P-521.
 */
const KEY_TYPES = new Set(["rsa", "ec", "ed25519"]);
const CURVES = new Set(["p256", "p384"]);
const USABLE = "RSA, P-256, P-384 or Ed25519 can be used";

/**
 * Checks that TLS can authenticate with this PEM certificate (chain, leaf first) and PEM private
 * key. Both may be in the same text. Throws ClientCertificateError.
 */
export function checkClientCertificate(certificatePem: string, keyPem: string): void {
  const leaf = derOf(certificatesIn(certificatePem)[0]!);
  const key = privateKeyOf(keyPem);
  // A certificate contains its public key in this encoding (RFC 5280, subjectPublicKeyInfo).
  const publicKey = createPublicKey(key).export({ type: "spki", format: "der" });
  if (leaf.indexOf(publicKey) === -1) throw new ClientCertificateError("the key does not belong to the certificate");
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
  const blocks: string[] = pem.match(CERTIFICATES) ?? [];
  if (blocks.length === 0) throw new ClientCertificateError("there is no complete PEM certificate");
  try {
    for (const block of blocks) new X509Certificate(block);
  } catch {
    throw new ClientCertificateError("the certificate cannot be parsed");
  }
  return blocks;
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[A-Z ]+-----/g, ""), "base64");
}

function privateKeyOf(pem: string): KeyObject {
  const block = pem.match(PRIVATE_KEY)?.[0];
  if (block === undefined) throw new ClientCertificateError("there is no complete, unencrypted PEM private key");
  let key: KeyObject;
  try {
    key = createPrivateKey(block);
  } catch {
    throw new ClientCertificateError(`the private key cannot be parsed: ${USABLE}`);
  }
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (!KEY_TYPES.has(key.asymmetricKeyType ?? "") || (curve !== undefined && !CURVES.has(curve))) {
    const type = [key.asymmetricKeyType, curve].filter(Boolean).join(" ");
    throw new ClientCertificateError(`the private key is ${type}: ${USABLE}`);
  }
  return key;
}
