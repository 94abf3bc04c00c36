// Tests lib/check/kubelet.ts: every way in which a kubelet fails comes with a remedy.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkKubeletFailure, checkPods } from "../../../lib/check/kubelet.ts";
import type { KubeletSettings } from "../../../lib/kubelet/client.ts";
import { readPodList } from "../../../lib/kubelet/pods.ts";

const SETTINGS: KubeletSettings = {
  url: "https://worker-10:10250",
  caFile: "/etc/gilly/ca.crt",
  certFile: "/etc/gilly/client.crt",
  keyFile: "/etc/gilly/client.key",
};
const WITH_TOKEN: KubeletSettings = { url: SETTINGS.url, tokenFile: "/etc/gilly/token" };

type Case = readonly [
  kind: string,
  text: string,
  name: string,
  message: string,
  remedy: string,
  settings?: KubeletSettings,
];

const PEER = "invalid peer certificate: ";

const FAILURES: readonly Case[] = [
  [
    "unreachable",
    `${PEER}UnknownIssuer`,
    "kubelet certificate",
    "does not verify",
    "put its CA into /etc/gilly/ca.crt",
  ],
  ["unreachable", `${PEER}BadSignature`, "kubelet certificate", "does not verify", "put its CA into /etc/gilly/ca.crt"],
  [
    "unreachable",
    `${PEER}certificate not valid for name "worker-10"; certificate is only valid for DnsName("w-10")`,
    "kubelet certificate",
    "issued for w-10",
    "write https://w-10:10250 into kubelet.url",
  ],
  [
    "unreachable",
    `${PEER}certificate not valid for name "worker-10"; certificate is not valid for any names (according to its ` +
    "subjectAltName extension)",
    "kubelet certificate",
    "issued for no name",
    "a Common Name does not count",
  ],
  [
    "unreachable",
    `${PEER}certificate expired: 1 ago`,
    "kubelet certificate",
    "expired",
    "remove both /var/lib/kubelet/pki/kubelet.crt and kubelet.key and restart the kubelet",
  ],
  ["unreachable", `${PEER}certificate not valid yet: in 1`, "kubelet certificate", "not valid yet", "clock"],
  ["unreachable", `${PEER}InvalidPurpose`, "kubelet certificate", "not for servers", "serverAuth"],
  [
    "unreachable",
    `${PEER}Other(OtherError(CaUsedAsEndEntity))`,
    "kubelet certificate",
    "may sign others (CA:TRUE)",
    "-addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:worker-10",
  ],
  [
    "unreachable",
    `${PEER}Other(OtherError(UnsupportedCertVersion))`,
    "kubelet certificate",
    "TLS no longer accepts",
    "of X.509 version 3, with RSA of 2048 bits",
  ],
  [
    "unreachable",
    `${PEER}BadEncoding`,
    "kubelet certificate",
    "BadEncoding",
    "the cause is not known to Gilly: openssl s_client -showcerts -connect worker-10:10250",
  ],
  ["unreachable", "received fatal alert: UnknownCA", "kubelet access", "UnknownCA", "--client-ca-file"],
  ["unreachable", "received fatal alert: HandshakeFailure", "kubelet", "refuses TLS", "tlsCipherSuites"],
  ["unreachable", "received fatal alert: ProtocolVersion", "kubelet", "refuses TLS", "tlsMinVersion"],
  [
    "unreachable",
    "received fatal alert: InternalError",
    "kubelet certificate",
    "no serving certificate to present",
    "kubectl get csr",
  ],
  [
    "unreachable",
    "received corrupt message of type InvalidContentType",
    "kubelet",
    "speaks plain HTTP",
    "the read-only port, 10255",
  ],
  ["unreachable", "tcp connect error: Connection refused", "kubelet", "refused", "systemctl status kubelet"],
  ["unreachable", "dns error: failed to lookup address information", "kubelet", "dns error", "getent hosts worker-10"],
  ["unauthorized", "answered 401", "kubelet access", "401", "signed by the CA of the kubelet's --client-ca-file"],
  [
    "unauthorized",
    "answered 401",
    "kubelet access",
    "401",
    "if the token of /etc/gilly/token has expired, create another (kubectl create token)",
    WITH_TOKEN,
  ],
  [
    "unauthorized",
    "answered 401",
    "kubelet access",
    "401",
    "the kubelet requires credentials: configure kubelet.certFile and keyFile, or kubelet.tokenFile",
    { url: SETTINGS.url },
  ],
  ["forbidden", "answered 403", "kubelet access", "403", "nodes/pods is enough from Kubernetes 1.33 on"],
  [
    "forbidden",
    'answered 403: "Forbidden (user=gilly, verb=get, resource=nodes, subresource(s)=[pods proxy])"',
    "kubelet access",
    "403",
    "give the user get on nodes/pods, and not on nodes/proxy",
  ],
  [
    "forbidden",
    'answered 403: "Forbidden (user=gilly, verb=get, resource=nodes, subresource=proxy)"',
    "kubelet access",
    "403",
    "this kubelet is older than 1.33 and needs get on nodes/proxy, which runs commands in every container",
  ],
  ["unexpected", "answered 200, but not with pods", "kubelet pods", "not with pods", "10250"],
  [
    "unexpected",
    'answered 400: "Client sent an HTTP request to an HTTPS server."',
    "kubelet pods",
    "400",
    "write https://worker-10:10250 into kubelet.url",
    { url: "http://worker-10:10250" },
  ],
];

for (const [kind, text, name, message, remedy, settings = SETTINGS] of FAILURES) {
  Deno.test(`a kubelet error "${text.slice(0, 60)}" fails "${name}" with ${remedy.slice(0, 30)}`, () => {
    const finding = checkKubeletFailure(settings, { kind, text }).at(-1)!;
    assertEquals([finding.verdict, finding.name], ["fail", name]);
    assertStringIncludes(finding.message, message);
    assertStringIncludes(finding.remedy ?? "", remedy);
    if (settings === WITH_TOKEN) assertEquals(/certificate|certFile/.test(finding.remedy!), false);
  });
}

Deno.test("a kubelet on the read-only port has no certificate to check, and a malformed pod is a warning", () => {
  const findings = checkPods("http://worker-10:10255", readPodList({ items: [{ metadata: {} }] }));
  assertEquals(findings.map(({ name, verdict }) => [name, verdict]), [["kubelet", "ok"], ["kubelet pods", "warn"]]);
});
