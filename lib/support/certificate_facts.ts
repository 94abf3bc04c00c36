// The contents of a certificate, parsed from the text that OpenSSL and Node.js print, and from its
// encoding where that text does not tell. Pure.

/** Times are milliseconds since the epoch. */
export interface CertificateFacts {
  /** Empty when the subject has none. */
  readonly commonName: string;
  /** The API server treats these as groups (kubernetes, authentication/request/x509). */
  readonly organizations: readonly string[];
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * Returns the facts of a certificate whose subject is printed with one attribute (`O=…`) per line,
 * or several joined by ` + `.
 */
export function certificateFacts(
  { subject, validFrom, validTo }: { readonly subject: string; readonly validFrom: string; readonly validTo: string },
): CertificateFacts {
  const attributes = subject.split(/\n| \+ (?=\w+=)/).map((text) => /^(\w+)=(.*)$/.exec(text)?.slice(1) ?? []);
  const valuesOf = (name: string) => attributes.filter(([key]) => key === name).map(([, value = ""]) => value);
  return {
    commonName: valuesOf("CN")[0] ?? "",
    organizations: valuesOf("O"),
    notBefore: Date.parse(validFrom),
    notAfter: Date.parse(validTo),
  };
}

/**
 * Returns why TLS does not accept a certificate in DER as one's own, or undefined if it does:
 * rustls-webpki, src/cert.rs, accepts version 3 and no critical extension that it does not know.
 */
export function mistakeInOwnCertificate(der: Uint8Array): string | undefined {
  const [certificate] = elementsIn(der, { from: 0, to: der.length });
  const [contents] = certificate === undefined ? [] : elementsIn(der, certificate);
  const fields = contents === undefined ? [] : [...elementsIn(der, contents)];
  const version = fields[0]?.tag === TAG.version ? der[fields[0].to - 1]! + 1 : 1;
  if (version !== 3) {
    return `the certificate is X.509 version ${version}, and TLS takes version 3 only: sign it with extensions, as ` +
      "openssl x509 -req does with -extfile FILE and the line extendedKeyUsage = clientAuth in FILE";
  }
  const all = fields.find(({ tag }) => tag === TAG.extensions);
  const [list] = all === undefined ? [] : elementsIn(der, all);
  for (const extension of list === undefined ? [] : elementsIn(der, list)) {
    const [name, critical] = elementsIn(der, extension);
    if (name === undefined || critical?.tag !== TAG.boolean || der[critical.from] === 0) continue;
    const oid = oidIn(der.subarray(name.from, name.to));
    if (KNOWN_EXTENSIONS.has(oid)) continue;
    return `the certificate's extension ${oid} is critical, and TLS does not know it: sign it without that extension`;
  }
  return undefined;
}

/** keyUsage, subjectAltName, basicConstraints, nameConstraints, cRLDistributionPoints, extKeyUsage. */
const KNOWN_EXTENSIONS = new Set([15, 17, 19, 30, 31, 37].map((last) => `2.5.29.${last}`));

/** RFC 5280, 4.1: `[0] version` and `[3] extensions`. */
const TAG = { boolean: 0x01, version: 0xa0, extensions: 0xa3 } as const;

/** An element of DER (X.690): its tag, and where its contents are. */
interface Element {
  readonly tag: number;
  readonly from: number;
  readonly to: number;
}

function* elementsIn(der: Uint8Array, { from, to }: Pick<Element, "from" | "to">): Generator<Element> {
  for (let at = from; at < to;) {
    const [tag = 0, first = 0] = der.subarray(at, at + 2);
    const more = first < 0x80 ? 0 : first & 0x7f;
    const begin = at + 2 + more;
    const length = more === 0 ? first : der.subarray(at + 2, begin).reduce((sum, byte) => sum * 256 + byte, 0);
    yield { tag, from: begin, to: begin + length };
    at = begin + length;
  }
}

function oidIn(bytes: Uint8Array): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of bytes) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const [first = 0, ...rest] = arcs;
  const root = Math.min(2, Math.floor(first / 40));
  return [root, first - root * 40, ...rest].join(".");
}
