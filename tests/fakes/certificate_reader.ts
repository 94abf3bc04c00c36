// Reads X.509 certificates and judges whether one may identify a client, as Go's crypto/x509 does for the kubelet.
// One issuer, no intermediates, no revocation: a test needs no more.

import { Buffer } from "node:buffer";
import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { type Bytes, sameBytes } from "../support/bytes.ts";
import { dateOf, decode, type DerValue, dotted, TAG } from "./der.ts";

/** The parts of a certificate that decide whether to trust it. Names are compared in their DER form. */
export interface Certificate {
  readonly subject: Bytes;
  readonly commonName: string | undefined;
  readonly issuer: Bytes;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly publicKey: KeyObject;
  /** Object identifiers of what the key may be used for; undefined allows everything. */
  readonly purposes: readonly string[] | undefined;
  readonly signedPart: Bytes;
  readonly signature: Bytes;
}

/** Why a client certificate is refused, in the names of TLS alerts (RFC 8446, 6.2). */
export type CertificateProblem = "bad_certificate" | "unknown_ca" | "certificate_expired" | "unsupported_certificate";

const COMMON_NAME = "2.5.4.3";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

/** Reads one DER certificate; throws when it is not one. */
export function readCertificate(bytes: Uint8Array): Certificate {
  const [signedPart, , signature] = children(decode(bytes)[0]);
  // Version is the one optional field in front (context tag 0); the serial number and the algorithm are not needed.
  const fields = children(signedPart).filter((field, index) => index > 0 || field.tag !== 0xa0);
  const [, , issuer, validity, subject, publicKey] = fields;
  if (!signedPart || !signature || !issuer || !subject || !publicKey) throw new TypeError("not an X.509 certificate");
  const [notBefore, notAfter] = children(validity);
  if (!notBefore || !notAfter) throw new TypeError("an X.509 certificate without validity");
  return {
    subject: subject.whole,
    commonName: commonNameOf(subject),
    issuer: issuer.whole,
    notBefore: dateOf(notBefore),
    notAfter: dateOf(notAfter),
    publicKey: createPublicKey({ key: Buffer.from(publicKey.whole), format: "der", type: "spki" }),
    purposes: purposesOf(fields.find((field) => field.tag === 0xa3)),
    signedPart: signedPart.whole,
    signature: signature.content.slice(1),
  };
}

/** The DER bytes of every certificate in a PEM text. */
export function certificatesOfPem(pem: string): Bytes[] {
  const blocks = pem.matchAll(/-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/g);
  return [...blocks].map(([, base64]) => new Uint8Array(Buffer.from(base64!, "base64")));
}

/** Why this certificate must not identify a client of that authority at that instant; undefined when it may. */
export function clientCertificateProblem(
  certificate: Certificate,
  authority: Certificate,
  now: Date,
): CertificateProblem | undefined {
  if (!sameBytes(certificate.issuer, authority.subject)) return "unknown_ca";
  // A foreign authority may bear the same name; only the signature tells.
  const signed = verify("sha256", Buffer.from(certificate.signedPart), authority.publicKey, certificate.signature);
  if (!signed) return "unknown_ca";
  if (now < certificate.notBefore || now > certificate.notAfter) return "certificate_expired";
  if (certificate.purposes && !certificate.purposes.includes(CLIENT_AUTH)) return "unsupported_certificate";
  return undefined;
}

function children(value: DerValue | undefined): DerValue[] {
  return value === undefined ? [] : decode(value.content);
}

function commonNameOf(name: DerValue): string | undefined {
  const attributes = children(name).flatMap(children).map(children);
  const found = attributes.find(([type]) => type !== undefined && dotted(type.content) === COMMON_NAME);
  return found?.[1] && new TextDecoder().decode(found[1].content);
}

function purposesOf(extensions: DerValue | undefined): string[] | undefined {
  const listed = children(children(extensions)[0]).map(children);
  const found = listed.find(([type]) => type !== undefined && dotted(type.content) === EXTENDED_KEY_USAGE);
  const value = found?.find((part) => part.tag === TAG.octetString);
  return value && children(children({ ...value, tag: TAG.sequence })[0]).map((purpose) => dotted(purpose.content));
}
