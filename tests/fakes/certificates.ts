// Makes X.509 certificates (RFC 5280): an authority, and P-256 server and client certificates that
// it signs. For tests only: the keys are unprotected in memory.

import { Buffer } from "node:buffer";
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import {
  bitString,
  type Bytes,
  concat,
  encode,
  integer,
  objectIdentifier,
  sequence,
  TAG,
  time,
  uint,
  utf8String,
} from "./der.ts";

/** A certificate and its private key (PKCS #8), both PEM. */
export interface IssuedCertificate {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** When a certificate is valid; by default from an hour ago until 24 hours from now. */
export interface Validity {
  readonly notBefore?: Date | undefined;
  readonly notAfter?: Date | undefined;
}

export interface ServerCertificateOptions extends Validity {
  readonly dnsNames?: readonly string[];
  /** IPv4 addresses in dotted form. */
  readonly ipAddresses?: readonly string[];
}

export interface ClientCertificateOptions extends Validity {
  readonly commonName: string;
  readonly organization?: string;
}

/** A certificate authority that signs with its own P-256 key. */
export interface Authority {
  readonly certificatePem: string;
  /** The authority's own key (PKCS #8, PEM), so that a test can sign in its place. */
  readonly keyPem: string;
  /**
   * Issues a certificate for serverAuth with the given alternative names; the first of them is also
   * the common name.
   */
  issueServer(options: ServerCertificateOptions): IssuedCertificate;
  /** Issues a certificate for clientAuth. */
  issueClient(options: ClientCertificateOptions): IssuedCertificate;
}

const OID = {
  commonName: "2.5.4.3",
  organization: "2.5.4.10",
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  extendedKeyUsage: "2.5.29.37",
  subjectAlternativeName: "2.5.29.17",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
} as const;

const HOUR_MS = 3_600_000;
const YES = encode(TAG.boolean, Uint8Array.of(0xff));
const SIGNATURE_ALGORITHM = sequence(objectIdentifier(OID.ecdsaWithSha256));
// Named bits of KeyUsage, first bit highest (RFC 5280, 4.2.1.3).
const DIGITAL_SIGNATURE = bitString(Uint8Array.of(0b1000_0000), 7);
const CERTIFICATE_AND_CRL_SIGN = bitString(Uint8Array.of(0b0000_0110), 1);

/** Returns a new authority with that common name, valid from an hour ago for ten years. */
export function makeAuthority(name: string): Authority {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuer = { name: distinguishedName({ commonName: name }), key: keys.privateKey };
  const issue = (subject: Bytes, extensions: Bytes[], validity: Validity): IssuedCertificate => {
    const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
    return {
      certificatePem: makeCertificate({ issuer, subject, publicKey: own.publicKey, extensions, validity }),
      keyPem: own.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    };
  };
  return {
    certificatePem: makeCertificate({
      issuer,
      subject: issuer.name,
      publicKey: keys.publicKey,
      extensions: [
        extension(OID.basicConstraints, sequence(YES), "critical"),
        extension(OID.keyUsage, CERTIFICATE_AND_CRL_SIGN, "critical"),
      ],
      validity: { notAfter: new Date(Date.now() + 87_600 * HOUR_MS) },
    }),
    keyPem: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    issueServer: (options) => {
      const { dnsNames = [], ipAddresses = [], ...validity } = options;
      const commonName = dnsNames[0] ?? ipAddresses[0] ?? "server";
      const names = extension(OID.subjectAlternativeName, alternativeNames(dnsNames, ipAddresses));
      return issue(distinguishedName({ commonName }), [...leafExtensions(OID.serverAuth), names], validity);
    },
    issueClient: (options) => issue(distinguishedName(options), leafExtensions(OID.clientAuth), options),
  };
}

interface CertificateParts {
  readonly issuer: { readonly name: Bytes; readonly key: KeyObject };
  readonly subject: Bytes;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Bytes[];
  readonly validity: Validity;
}

function makeCertificate({ issuer, subject, publicKey, extensions, validity }: CertificateParts): string {
  const hourAgo = Date.now() - HOUR_MS;
  const notAfter = validity.notAfter ?? new Date(Date.now() + 24 * HOUR_MS);
  // An end in the past moves the beginning too, so that an expired certificate was once valid.
  const notBefore = validity.notBefore ?? new Date(Math.min(hourAgo, notAfter.getTime() - HOUR_MS));
  const signedPart = sequence(
    encode(0xa0, integer(Uint8Array.of(2))),
    integer(concat(uint(1, 1), randomBytes(15))),
    SIGNATURE_ALGORITHM,
    issuer.name,
    sequence(time(notBefore), time(notAfter)),
    subject,
    new Uint8Array(publicKey.export({ type: "spki", format: "der" })),
    encode(0xa3, sequence(...extensions)),
  );
  const signature = sign("sha256", Buffer.from(signedPart), issuer.key);
  return pem("CERTIFICATE", sequence(signedPart, SIGNATURE_ALGORITHM, bitString(signature)));
}

function distinguishedName(names: { readonly commonName: string; readonly organization?: string }): Bytes {
  const attribute = (type: string, value: string) =>
    encode(TAG.set, sequence(objectIdentifier(type), utf8String(value)));
  const organization = names.organization === undefined ? [] : [attribute(OID.organization, names.organization)];
  return sequence(...organization, attribute(OID.commonName, names.commonName));
}

function alternativeNames(dnsNames: readonly string[], ipAddresses: readonly string[]): Bytes {
  return sequence(
    ...dnsNames.map((name) => encode(0x82, new TextEncoder().encode(name))),
    ...ipAddresses.map((address) => encode(0x87, Uint8Array.from(address.split("."), Number))),
  );
}

function leafExtensions(purpose: string): Bytes[] {
  return [
    extension(OID.basicConstraints, sequence(), "critical"),
    extension(OID.keyUsage, DIGITAL_SIGNATURE, "critical"),
    extension(OID.extendedKeyUsage, sequence(objectIdentifier(purpose))),
  ];
}

function extension(type: string, value: Bytes, critical?: "critical"): Bytes {
  return sequence(objectIdentifier(type), ...(critical ? [YES] : []), encode(TAG.octetString, value));
}

function pem(label: string, bytes: Bytes): string {
  const lines = Buffer.from(bytes).toString("base64").match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
