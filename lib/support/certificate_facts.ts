// The contents of a certificate, parsed from the text that OpenSSL and Node.js print. Pure.

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
