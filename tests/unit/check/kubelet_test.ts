// Tests lib/check/kubelet.ts: every way in which a kubelet fails comes with a remedy.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkKubeletFailure, checkPods } from "../../../lib/check/kubelet.ts";
import { readPodList } from "../../../lib/kubelet/pods.ts";

const URL_OF_KUBELET = "https://worker-10:10250";

for (
  const [kind, text, name, message, remedy] of [
    [
      "unreachable",
      "invalid peer certificate: UnknownIssuer",
      "kubelet certificate",
      "does not verify",
      "put its CA into /etc/gilly/ca.crt",
    ],
    [
      "unreachable",
      'invalid peer certificate: certificate not valid for name "worker-10"; certificate is only valid for DnsName("w-10")',
      "kubelet certificate",
      "issued for w-10",
      "write https://w-10:10250 into kubelet.url",
    ],
    [
      "unreachable",
      "invalid peer certificate: certificate expired: 1 ago",
      "kubelet certificate",
      "expired",
      "remove both /var/lib/kubelet/pki/kubelet.crt and kubelet.key and restart the kubelet",
    ],
    ["unreachable", "invalid peer certificate: BadEncoding", "kubelet certificate", "BadEncoding", "clock"],
    [
      "unreachable",
      "connection error: received fatal alert: UnknownCA",
      "kubelet access",
      "UnknownCA",
      "client-ca-file",
    ],
    ["unreachable", "tcp connect error: Connection refused", "kubelet", "refused", "systemctl status kubelet"],
    ["unauthorized", "answered 401", "kubelet access", "401", "--authentication-token-webhook"],
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
  ] as const
) {
  Deno.test(`a kubelet error "${text.slice(0, 60)}" fails "${name}" with a remedy`, () => {
    const finding = checkKubeletFailure(URL_OF_KUBELET, { kind, text }, "/etc/gilly/ca.crt").at(-1)!;
    assertEquals([finding.verdict, finding.name], ["fail", name]);
    assertStringIncludes(finding.message, message);
    assertStringIncludes(finding.remedy ?? "", remedy);
  });
}

Deno.test("a kubelet on the read-only port has no certificate to check, and a malformed pod is a warning", () => {
  const findings = checkPods("http://worker-10:10255", readPodList({ items: [{ metadata: {} }] }));
  assertEquals(findings.map(({ name, verdict }) => [name, verdict]), [["kubelet", "ok"], ["kubelet pods", "warn"]]);
});
