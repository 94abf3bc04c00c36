// Tests lib/runtime/network_texts.ts: what a text says is wrong, and that the advice is about that.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { containerdAdvice } from "../../../lib/runtime/containerd/advice.ts";
import { dockerAdvice } from "../../../lib/runtime/docker/advice.ts";
import { type NetworkFault, networkFaultIn, networkRemedy } from "../../../lib/runtime/network_texts.ts";

const HEAD = 'Head "https://m.example:5000/v2/a/manifests/1": ';
const VERIFY = `${HEAD}tls: failed to verify certificate: x509: `;

const TEXTS: readonly (readonly [fault: NetworkFault | undefined, text: string])[] = [
  // Go
  ["proxy", `${HEAD}proxyconnect tcp: dial tcp 192.0.2.1:3128: connect: connection refused`],
  ["proxy", `${HEAD}Bad Gateway`],
  ["proxy", "Gateway Timeout; asked without credentials: no entry"],
  ["redirects", `${HEAD}stopped after 10 redirects`],
  ["plain-http", `${HEAD}http: server gave HTTP response to HTTPS client`],
  ["plain-http", `${HEAD}tls: first record does not look like a TLS handshake`],
  [
    "tls-on-plain",
    String
      .raw`${HEAD}net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x03\x00\x02\x022"`,
  ],
  ["tls-on-plain", `answered 400: Client sent an HTTP request to an HTTPS server.`],
  ["tls-on-plain", `answered 400: The plain HTTP request was sent to HTTPS port`],
  ["client-certificate", `${HEAD}remote error: tls: certificate required`],
  ["client-certificate", `${HEAD}remote error: tls: bad certificate`],
  ["client-certificate", `${HEAD}remote error: tls: unknown certificate authority`],
  ["client-certificate", `${HEAD}remote error: tls: expired certificate`],
  ["tls-version", `${HEAD}remote error: tls: protocol version not supported`],
  ["tls-version", `${HEAD}tls: server selected unsupported protocol version 301`],
  ["server-name", `${HEAD}remote error: tls: internal error`],
  ["server-name", `${HEAD}remote error: tls: unrecognized name`],
  ["handshake", `${HEAD}remote error: tls: handshake failure`],
  [
    "expired",
    `${VERIFY}certificate has expired or is not yet valid: current time 2026-11-26T17:00:00Z is after 2025-01-01T00:00:00Z`,
  ],
  [
    "not-yet-valid",
    `${VERIFY}certificate has expired or is not yet valid: current time 2020-01-01T00:00:00Z is before 2025-01-01T00:00:00Z`,
  ],
  ["out-of-time", `${HEAD}x509: certificate has expired or is not yet valid`],
  ["common-name", `${VERIFY}certificate relies on legacy Common Name field, use SANs instead`],
  ["common-name", `${VERIFY}certificate is not valid for any names, but wanted to match m.example`],
  ["no-ip-names", `${VERIFY}cannot validate certificate for 192.0.2.7 because it doesn't contain any IP SANs`],
  ["other-name", `${VERIFY}certificate is valid for a.example, not m.example`],
  ["unknown-issuer", `${VERIFY}certificate signed by unknown authority`],
  [
    "unknown-issuer",
    `${VERIFY}certificate signed by unknown authority (possibly because of "crypto/rsa: verification error" while trying to verify candidate authority certificate "ca")`,
  ],
  [
    "weak",
    `${VERIFY}certificate signed by unknown authority (possibly because of "x509: cannot verify signature: insecure algorithm SHA1-RSA" while trying to verify candidate authority certificate "ca")`,
  ],
  ["issuer-not-ca", `${VERIFY}certificate is not authorized to sign other certificates`],
  [
    "issuer-not-ca",
    `${VERIFY}certificate signed by unknown authority (possibly because of "x509: invalid signature: parent certificate ` +
    'cannot sign this kind of certificate" while trying to verify candidate authority certificate "ca")',
  ],
  [
    "constrained",
    `${VERIFY}a root or intermediate certificate is not authorized to sign for this name: DNS name "m.example" is not permitted by any constraint`,
  ],
  ["constrained", `${VERIFY}issuer has name constraints but leaf contains unknown or unconstrained name: "m"`],
  ["wrong-usage", `${VERIFY}certificate specifies an incompatible key usage`],
  ["unreadable", `${HEAD}tls: failed to parse certificate from server: x509: negative serial number`],
  ["outdated-form", `${VERIFY}unhandled critical extension`],
  ["dns", `${HEAD}dial tcp: lookup m.example on 192.0.2.53:53: no such host`],
  ["dns", `${HEAD}dial tcp: lookup m.example: Temporary failure in name resolution`],
  ["refused", `${HEAD}dial tcp 192.0.2.1:443: connect: connection refused`],
  ["no-route", `${HEAD}dial tcp 192.0.2.1:443: connect: no route to host`],
  ["timeout", `${HEAD}dial tcp 192.0.2.1:443: i/o timeout`],
  ["timeout", `${HEAD}net/http: TLS handshake timeout`],
  ["timeout", `${HEAD}context deadline exceeded (Client.Timeout exceeded while awaiting headers)`],
  ["closed", `${HEAD}EOF`],
  ["closed", `${HEAD}read tcp 10.0.0.1:4->192.0.2.1:443: read: connection reset by peer`],
  [undefined, `${HEAD}something that nobody has seen yet`],
  // rustls and hyper
  ["plain-http", "received corrupt message of type InvalidContentType"],
  ["client-certificate", "received fatal alert: CertificateRequired"],
  ["client-certificate", "received fatal alert: BadCertificate"],
  ["client-certificate", "received fatal alert: UnknownCA"],
  ["tls-version", "received fatal alert: ProtocolVersion"],
  ["tls-version", "peer is incompatible: Tls12NotOfferedOrEnabled"],
  ["server-name", "received fatal alert: InternalError"],
  ["server-name", "received fatal alert: UnrecognisedName"],
  ["handshake", "received fatal alert: HandshakeFailure"],
  [
    "expired",
    "invalid peer certificate: certificate expired: verification time 1 (UNIX), but certificate is not valid after 0",
  ],
  [
    "not-yet-valid",
    "invalid peer certificate: certificate not valid yet: verification time 0 (UNIX), but certificate is not valid before 1",
  ],
  [
    "common-name",
    'invalid peer certificate: certificate not valid for name "m"; certificate is not valid for any names (according to its subjectAltName extension)',
  ],
  [
    "other-name",
    'invalid peer certificate: certificate not valid for name "m"; certificate is only valid for DnsName("a")',
  ],
  ["unknown-issuer", "invalid peer certificate: UnknownIssuer"],
  ["unknown-issuer", "invalid peer certificate: BadSignature"],
  ["issuer-not-ca", "invalid peer certificate: Other(OtherError(EndEntityUsedAsCa))"],
  ["expired", "invalid peer certificate: Expired"],
  [
    "wrong-usage",
    "invalid peer certificate: certificate does not allow extended key usage for server authentication, allows client " +
    "authentication",
  ],
  ["ca-as-server", "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))"],
  ["wrong-usage", "invalid peer certificate: InvalidPurpose"],
  ["outdated-form", "invalid peer certificate: Other(OtherError(UnsupportedCertVersion))"],
  ["unreadable", "invalid peer certificate: BadEncoding"],
  ["refused", "tcp connect error: Connection refused (os error 111)"],
  ["dns", "dns error: failed to lookup address information: Name or service not known"],
  ["timeout", "no answer within 5 s"],
];

for (const [fault, text] of TEXTS) {
  Deno.test(`"${text.replace(HEAD, "")}" is ${fault ?? "not known"}`, () => {
    assertEquals(networkFaultIn(text), fault);
  });
}

const RUNTIMES = {
  docker: dockerAdvice("/run/docker.sock"),
  containerd: containerdAdvice("/run/containerd/containerd.sock"),
  k3s: containerdAdvice("/run/k3s/containerd/containerd.sock"),
};

for (const [name, { mirrorRemedy }] of Object.entries(RUNTIMES)) {
  Deno.test(`${name}'s settings are named only for what they are about, and the CA for nothing but an unknown one`, () => {
    const faults = new Set(TEXTS.flatMap(([fault]) => fault ?? []));
    const settings = [...faults].filter((fault) => mirrorRemedy("m.example", fault) !== undefined).sort();
    assertEquals(settings, ["client-certificate", "plain-http", "proxy", "tls-on-plain", "unknown-issuer"]);
    for (const fault of faults) {
      const remedy = mirrorRemedy("m.example", fault) ?? networkRemedy("m.example:5000", fault);
      assertEquals(/mirror's CA|ca\.crt|ca_file/.test(remedy), fault === "unknown-issuer", `${fault}: ${remedy}`);
      assertEquals(/clock/.test(remedy), ["expired", "not-yet-valid", "out-of-time"].includes(fault), fault);
      assert(!remedy.includes("not known"), `${fault}: ${remedy}`);
    }
  });
}

Deno.test("what Gilly does not know it says, with what shows more", () => {
  assertEquals(
    networkRemedy("m.example:5000", undefined),
    "the cause is not known to Gilly: curl -v https://m.example:5000/v2/ from this host shows more",
  );
  assertStringIncludes(networkRemedy("m.example:5000", "dns"), "getent hosts m.example");
});
