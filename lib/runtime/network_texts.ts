// What Go's and rustls' texts say of a connection to a registry that did not come about or broke,
// and what a person can do about it, whichever runtime asks. Pure.

import { withoutPort } from "../images/location.ts";

/**
 * What is wrong with a connection.
 *
 * - `proxy`: the proxy on the way cannot be reached, or cannot reach the server;
 * - `plain-http`: the server speaks plain HTTP where TLS was expected; `tls-on-plain`: the reverse;
 * - `client-certificate`: the server requires a client's certificate, or rejected the one it got;
 * - `tls-version`, `handshake`: no common version or cipher of TLS, or a refusal without a reason;
 * - `server-name`: the server has no certificate, or none for this name;
 * - `expired`, `not-yet-valid`, `out-of-time` (one of the two), `common-name` (no subjectAltName),
 *   `no-ip-names`, `other-name`, `unknown-issuer`, `issuer-not-ca`, `constrained` (by a CA, to other names),
 *   `wrong-usage`, `ca-as-server` (the certificate of a CA) and `outdated-form` (X.509 version 1, or an unknown
 *   critical extension), which rustls refuses and Go does not always, `weak`,
 *   `unreadable`: the server's certificate;
 * - `redirects`: they lead in a circle;
 * - `dns`, `refused`, `no-route`, `timeout`, `closed`: the network.
 */
export type NetworkFault =
  | "proxy"
  | "plain-http"
  | "tls-on-plain"
  | "client-certificate"
  | "tls-version"
  | "handshake"
  | "server-name"
  | "expired"
  | "not-yet-valid"
  | "out-of-time"
  | "common-name"
  | "no-ip-names"
  | "other-name"
  | "unknown-issuer"
  | "issuer-not-ca"
  | "constrained"
  | "wrong-usage"
  | "ca-as-server"
  | "outdated-form"
  | "weak"
  | "unreadable"
  | "redirects"
  | "dns"
  | "refused"
  | "no-route"
  | "timeout"
  | "closed";

// The first match wins. Texts of Go (crypto/x509/verify.go, crypto/tls/alert.go, net/http), then of
// rustls (src/error.rs, src/enums.rs) and hyper.
const TEXTS: readonly (readonly [NetworkFault, RegExp])[] = [
  ["proxy", /proxyconnect|socks connect/i],
  // A refused CONNECT is told by its status alone (net/http/transport.go).
  ["proxy", /(?:^|: )(?:Bad Gateway|Service Unavailable|Gateway Timeout)(?:$|;)/],
  ["redirects", /stopped after \d+ redirects/],
  ["plain-http", /HTTP response to HTTPS client|first record does not look like a TLS handshake/],
  ["plain-http", /InvalidContentType|corrupt message/],
  [
    "tls-on-plain",
    /malformed HTTP response "\\x1[56]\\x03|HTTP request (?:was sent )?to (?:an )?HTTPS (?:server|port)/,
  ],
  [
    "client-certificate",
    /tls: (?:bad|unsupported|revoked|expired|unknown) certificate|tls: certificate required|tls: access denied/,
  ],
  [
    "client-certificate",
    /fatal alert: (?:Bad|Unsupported)Certificate|fatal alert: Certificate|fatal alert: (?:UnknownCA|AccessDenied)/,
  ],
  ["tls-version", /tls: protocol version|unsupported protocol|no supported versions|fatal alert: ProtocolVersion/],
  ["tls-version", /peer is incompatible: .*(?:Version|TLS12|Tls12)/],
  ["server-name", /tls: (?:internal error|unrecognized name)|fatal alert: (?:InternalError|Unrecogni[sz]edName)/],
  ["handshake", /tls: (?:handshake failure|insufficient security)|fatal alert: |peer is incompatible|no cipher suite/],
  ["expired", /current time \S+ is after|certificate expired|\bExpired\b/],
  ["not-yet-valid", /current time \S+ is before|certificate not valid yet|NotValidYet/],
  ["out-of-time", /certificate has expired or is not yet valid/],
  ["common-name", /legacy Common Name|certificate is not valid for any names/],
  ["no-ip-names", /doesn't contain any IP SANs/],
  ["other-name", /certificate is (?:only )?valid for|not valid for name|NotValidForName/],
  ["weak", /insecure algorithm|UnsupportedSignatureAlgorithm/],
  ["issuer-not-ca", /not authorized to sign other certificates|cannot sign this kind of certificate|EndEntityUsedAsCa/],
  ["issuer-not-ca", /issuer name does not match|too many intermediates/],
  ["constrained", /not authorized to sign for this name|name constraint|unconstrained name|NameConstraintViolation/],
  ["wrong-usage", /incompatible key usage|InvalidPurpose|extended key usage/],
  ["ca-as-server", /CaUsedAsEndEntity/],
  ["outdated-form", /UnsupportedCertVersion|UnsupportedCriticalExtension|unhandled critical extension/],
  // rustls finds a bad signature where a known CA has the name of the one that signed.
  ["unknown-issuer", /signed by unknown authority|UnknownIssuer|invalid peer certificate: BadSignature/],
  ["unreadable", /x509: |failed to parse certificate|invalid peer certificate/],
  ["dns", /no such host|name resolution|server misbehaving|failed to lookup address|dns error/i],
  ["refused", /connection refused/i],
  ["no-route", /no route to host|network is unreachable/i],
  ["timeout", /i\/o timeout|handshake timeout|timeout awaiting|deadline exceeded|Client\.Timeout|no answer within/i],
  ["timeout", /timed out/i],
  ["closed", /connection reset|broken pipe|\bEOF\b|server closed|closed network connection|connection closed/i],
  ["closed", /http2: |stream error|the answer was cut off/],
];

/** Returns what a text says is wrong with a connection, or undefined if Gilly does not know the text. */
export function networkFaultIn(text: string): NetworkFault | undefined {
  return TEXTS.find(([, pattern]) => pattern.test(text))?.[0];
}

/**
 * Returns what to do about a registry at `host` (`host[:port]`) with which a connection failed, unless a
 * runtime's own settings are what to change; see RuntimeAdvice.mirrorRemedy.
 */
export function networkRemedy(host: string, fault: NetworkFault | undefined): string {
  switch (fault) {
    case "expired":
      return "the mirror needs a new certificate, unless this host's clock is wrong: date";
    case "not-yet-valid":
      return "check this host's clock (date): by it, the mirror's certificate is not valid yet";
    case "out-of-time":
      return "check this host's clock (date); if it is right, the mirror needs a new certificate";
    case "common-name":
      return `the mirror's certificate has no subjectAltName, only a Common Name, which no longer counts: ` +
        `it needs one for ${host}`;
    case "no-ip-names":
      return `the mirror's certificate is not for an address: replace ${host} in the config with a name from it`;
    case "other-name":
      return `replace ${host} in the config with a name from the mirror's certificate`;
    case "issuer-not-ca":
      return "the certificate that signed the mirror's may not sign any (basicConstraints CA:TRUE is missing), or is " +
        "another one: the mirror needs a certificate, with its intermediates, of a real CA";
    case "constrained":
      return `a CA of the mirror's certificate may not sign for ${host} (name constraints): ` +
        "the mirror needs a certificate of another CA, or a name that this one may sign for";
    case "wrong-usage":
      return "the mirror's certificate, or its CA, is not for servers (extendedKeyUsage serverAuth): it needs another";
    case "ca-as-server":
      return "the mirror's own certificate is a CA's (CA:TRUE), which Gilly's TLS refuses: give it one with CA:FALSE";
    case "outdated-form":
      return "the mirror's certificate is of X.509 version 1, or has a critical extension that nobody knows: it needs " +
        "a new one, of version 3";
    case "weak":
      return "the mirror's certificate is signed with an algorithm that is no longer accepted, such as SHA-1: " +
        "it needs a new one";
    case "unreadable":
      return "the mirror's certificate cannot be used as it is: " +
        `openssl s_client -showcerts -connect ${/:\d+$/.test(host) ? host : `${host}:443`} shows it`;
    case "server-name":
      return `the mirror has no certificate for ${withoutPort(host)}, or cannot use its own: its log says why`;
    case "tls-version":
      return "the mirror speaks only versions of TLS that are no longer accepted: it needs TLS 1.2 or later";
    case "redirects":
      return `the mirror's redirects lead in a circle: check its name and path in the config; ${look(host)}`;
    case "dns":
      return `check the mirror's name, and this host's DNS: getent hosts ${withoutPort(host)}`;
    case "refused":
      return "is the mirror up, and is this its port? A firewall may refuse it, too";
    case "no-route":
      return `this host has no route to the mirror: ip route get its address`;
    case "timeout":
      return "is the mirror up? Does a firewall drop packets to it?";
    case "closed":
      return `the mirror, or something on the way to it, closes the connection: ${look(host)}`;
    case "handshake":
      return "the mirror refused TLS without saying why: no cipher is in common, or, in TLS 1.2, it wants a client's " +
        `certificate: ${look(host)}`;
    default:
      return `the cause is not known to Gilly: ${look(host)}`;
  }
}

function look(host: string): string {
  return `curl -v https://${host}/v2/ from this host shows more`;
}
