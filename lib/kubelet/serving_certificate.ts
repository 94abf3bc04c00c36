// What a kubelet's serving certificate must be for rustls, where that is more than Go asks for. Pure.

/**
 * Whether a TLS error says that a server presented the certificate of a CA as its own. rustls refuses that
 * even if the certificate itself is trusted (rustls-webpki, CaUsedAsEndEntity); Go and OpenSSL accept it.
 */
export function isAuthoritysOwn(text: string): boolean {
  return text.includes("CaUsedAsEndEntity");
}

/** What is wrong then, after `its certificate`. */
export const AUTHORITYS_OWN =
  "may sign others (CA:TRUE), as openssl req -x509 makes it unless told otherwise: TLS libraries like Gilly's refuse " +
  "such a certificate for a server";

/**
 * Returns the command, for OpenSSL 3.0 and later, that makes a self-signed certificate for a host which
 * every TLS library accepts: `kubelet.crt` and `kubelet.key` in the current folder.
 */
export function selfSignedCommand(host: string): string {
  const address = /^\[(.*)\]$/.exec(host)?.[1] ?? (/^\d+(?:\.\d+){3}$/.test(host) ? host : undefined);
  const name = address === undefined ? `DNS:${host}` : `IP:${address}`;
  return `openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=${address ?? host} -addext ` +
    `basicConstraints=critical,CA:FALSE -addext subjectAltName=${name} -keyout kubelet.key -out kubelet.crt`;
}
