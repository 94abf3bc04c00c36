import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  expiry,
  judgeAuthorities,
  judgeClientCertificate,
  judgeProxies,
  judgeRights,
  judgeSecretFile,
} from "../../../lib/check/files.ts";
import { fail, ok, renderFindings, warn, worstOf } from "../../../lib/check/finding.ts";
import { judgeDaemon, judgeKept, judgeMirrorFailure, probesOf } from "../../../lib/check/mirrors.ts";
import {
  judgeKubelet,
  judgeKubeletFailure,
  judgeReach,
  judgeRuntimeFailure,
  judgeWaiting,
} from "../../../lib/check/node.ts";
import { compileExclusions } from "../../../lib/images/exclusions.ts";
import { compileRules } from "../../../lib/images/rules.ts";
import { readPodList } from "../../../lib/kubelet/pods.ts";
import { dockerAdvice } from "../../../lib/runtime/docker/advice.ts";
import { readNodeState } from "../../../lib/status/read_state.ts";
import type { CertificateFacts } from "../../../lib/support/certificate_facts.ts";
import { readCertificates } from "../../../lib/support/certificates.ts";
import { makeAuthority } from "../../fakes/certificates.ts";

const DOCKER = dockerAdvice("/run/docker.sock");
const NOW = Date.UTC(2026, 10, 1, 12);
const DAY = 86_400_000;
const URL_OF_KUBELET = "https://worker-10:10250";

const facts = (days: number, rest: Partial<CertificateFacts> = {}): CertificateFacts => (
  { commonName: "gilly", organizations: [], notBefore: NOW - DAY, notAfter: NOW + days * DAY, ...rest }
);

Deno.test("a certificate's facts are those that it was issued with", () => {
  const authority = makeAuthority("cluster");
  const notAfter = new Date(Date.UTC(2030, 0, 2, 3, 4, 5));
  const { certificatePem } = authority.issueClient({ commonName: "a, b=c", organization: "system:masters", notAfter });
  const [leaf, root, ...rest] = readCertificates(`${certificatePem}\nnoise\n${authority.certificatePem}`);
  assertEquals(
    [leaf!.commonName, leaf!.organizations, leaf!.notAfter],
    ["a, b=c", ["system:masters"], notAfter.getTime()],
  );
  assertEquals([root!.commonName, root!.organizations, rest], ["cluster", [], []]);
});

for (
  const [days, text, verdict] of [
    [300, "expires in 300 days (2027-08-28)", "ok"],
    [14, "expires in 14 days (2026-11-15)", "ok"],
    [13.9, "expires in 13 days (2026-11-15)", "warn"],
    [1, "expires in 1 day (2026-11-02)", "warn"],
    [0.1, "expires in less than a day (2026-11-01)", "warn"],
    [0, "expired less than a day ago (2026-11-01)", "fail"],
    [-3, "expired 3 days ago (2026-10-29)", "fail"],
  ] as const
) {
  Deno.test(`a certificate that ${text} is ${verdict}`, () => {
    assertEquals(expiry(NOW + days * DAY, NOW), text);
    assertEquals(judgeClientCertificate("client.crt", facts(days), NOW).verdict, verdict);
    assertEquals(judgeAuthorities("ca.crt", [facts(days)], NOW).verdict, verdict);
  });
}

Deno.test("of several authorities the one that lasts longest counts, and expired ones are counted", () => {
  const { verdict, message } = judgeAuthorities("ca.crt", [facts(-3), facts(300)], NOW);
  assertEquals(verdict, "ok");
  assertStringIncludes(message, "2 certificates, 1 of them expired");
});

Deno.test("a certificate that is not valid yet points at the clock", () => {
  const early = judgeClientCertificate("client.crt", facts(300, { notBefore: NOW + DAY }), NOW);
  assertEquals([early.verdict, early.remedy], ["fail", "check this host's clock"]);
});

for (
  const [subject, rest, verdict] of [
    ["an administrator of every cluster", { organizations: ["system:masters"] }, "warn"],
    ["kubeadm's administrators since 1.29", { organizations: ["x", "kubeadm:cluster-admins"] }, "warn"],
    ["the API server itself", { commonName: "kube-apiserver-kubelet-client" }, "warn"],
    ["a user of its own", { organizations: ["operators"] }, "ok"],
  ] as const
) {
  Deno.test(`a certificate of ${subject} is ${verdict}`, () => {
    const { verdict: found, message, remedy = "" } = judgeRights(facts(300, rest));
    assertEquals(found, verdict);
    assertStringIncludes(message + remedy, "nodes/proxy");
  });
}

Deno.test("a secret that others may read or change is a warning that says how to close it", () => {
  for (const mode of [0o100600, 0o100640, 0o100400]) assertEquals(judgeSecretFile("k", "/k", mode), undefined);
  for (const mode of [0o100644, 0o100604, 0o100602]) assertEquals(judgeSecretFile("k", "/k", mode)?.verdict, "warn");
  assertEquals(judgeSecretFile("kubelet.keyFile", "/etc/k.key", 0o100644), {
    name: "kubelet.keyFile",
    verdict: "warn",
    message: "/etc/k.key holds a secret, and its mode 0644 opens it to every user of this host",
    remedy: "chmod o= /etc/k.key",
  });
});

Deno.test("a proxy of the environment is a warning that says whom it does not serve, and none is no finding", () => {
  assertEquals(judgeProxies([], DOCKER), []);
  const [{ verdict, message } = fail("", "")] = judgeProxies(["HTTPS_PROXY", "all_proxy"], DOCKER);
  assertEquals([verdict, message], [
    "warn",
    "HTTPS_PROXY, all_proxy name a proxy; Gilly does not use it: the kubelet and the Docker Engine are asked directly",
  ]);
});

for (
  const [kind, text, name, message, remedy] of [
    [
      "unreachable",
      "invalid peer certificate: UnknownIssuer",
      "kubelet certificate",
      "does not vouch for",
      "put its CA into /etc/gilly/ca.crt",
    ],
    [
      "unreachable",
      'invalid peer certificate: certificate not valid for name "worker-10"; certificate is only valid for DnsName("w-10")',
      "kubelet certificate",
      "made out to w-10",
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
      "this kubelet is older than 1.33 and wants get on nodes/proxy, which runs commands in every container",
    ],
    ["unexpected", "answered 200, but not with pods", "kubelet pods", "not with pods", "10250"],
  ] as const
) {
  Deno.test(`a kubelet with "${text.slice(0, 60)}" fails as ${name}, with what to do`, () => {
    const finding = judgeKubeletFailure(URL_OF_KUBELET, { kind, text }, "/etc/gilly/ca.crt").at(-1)!;
    assertEquals([finding.verdict, finding.name], ["fail", name]);
    assertStringIncludes(finding.message, message);
    assertStringIncludes(finding.remedy ?? "", remedy);
  });
}

Deno.test("a kubelet on the read-only port has no certificate to judge, and a malformed pod is a warning", () => {
  const findings = judgeKubelet("http://worker-10:10255", readPodList({ items: [{ metadata: {} }] }));
  assertEquals(findings.map(({ name, verdict }) => [name, verdict]), [["kubelet", "ok"], ["kubelet pods", "warn"]]);
});

for (
  const [text, message, remedy] of [
    [
      "Permission denied (os error 13)",
      "the group docker",
      "sudo gilly check; if the service may not either: SupplementaryGroups=docker",
    ],
    [
      "No such file or directory (os error 2)",
      "does not exist",
      "docker.socket of the config right? If it is: systemctl start docker",
    ],
    ["Connection refused (os error 111)", "nobody listens", "systemctl start docker; journalctl -u docker -n 20"],
  ] as const
) {
  Deno.test(`a Docker socket that says "${text}" comes with the next step`, () => {
    const [finding] = judgeRuntimeFailure(DOCKER, { kind: "unreachable", text }, "docker");
    assertEquals(finding!.verdict, "fail");
    assertStringIncludes(finding!.message, message);
    assertStringIncludes(finding!.remedy ?? "", remedy);
  });
}

for (
  const [text, kind, verdict, remedy] of [
    ["denied: requested access to the resource is denied", "denied", "warn", "authFile"],
    ["unauthorized: authentication required", "denied", "fail", "authFile"],
    ["x509: certificate signed by unknown authority", "registry-down", "fail", "/etc/docker/certs.d/m.example/ca.crt"],
    ["x509: certificate has expired or is not yet valid", "registry-down", "fail", "check this host's clock"],
    [
      "tls: x509: certificate is valid for a.example, not m.example",
      "registry-down",
      "fail",
      "write a name of the mirror's",
    ],
    ["http: server gave HTTP response to HTTPS client", "registry-down", "fail", "insecure-registries"],
    ["proxyconnect tcp: dial tcp", "registry-down", "fail", "proxy"],
    ["no answer for 30 s, given up", "stalled", "fail", "firewall"],
  ] as const
) {
  Deno.test(`a mirror that answers "${text}" is a ${verdict}`, () => {
    const finding = judgeMirrorFailure("m.example", { kind, text }, undefined, DOCKER);
    assertEquals(finding.verdict, verdict);
    assertStringIncludes(finding.remedy ?? "", remedy);
  });
}

Deno.test("every mirror is asked once, below the path of its first rule, for a name that no image has", () => {
  const rules = [
    { origin: "gcr.io", mirrors: ["Mirror.example", "m2.example:5000/quay"] },
    { origin: "quay.io:443", mirrors: ["mirror.example/other", "h.example/{registry}"] },
    { origin: "*.pkg.dev", mirrors: ["p.example/{registry}"] },
    { origin: "*", mirrors: ["s.example/{registry}"] },
  ];
  assertEquals(probesOf(rules), [
    { mirror: "mirror.example", reference: "mirror.example/gilly-check/no-such-image:none" },
    { mirror: "m2.example:5000", reference: "m2.example:5000/quay/gilly-check/no-such-image:none" },
    { mirror: "h.example", reference: "h.example/quay.io/gilly-check/no-such-image:none" },
    { mirror: "p.example", reference: "p.example/gilly-check.pkg.dev/gilly-check/no-such-image:none" },
    { mirror: "s.example", reference: "s.example/docker.io/gilly-check/no-such-image:none" },
  ]);
});

Deno.test("what cannot be repaired counts only where a rule applies and the pod may still start", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const pod = (name: string, image: string, more: object = {}) => (
    { metadata: { name, ...more }, spec: { containers: [{ name: "app", image }] } }
  );
  const { pods } = readPodList({
    items: [
      pod("always", "gcr.io/a/b"),
      pod("digest", `gcr.io/a/b@${digest}`),
      pod("elsewhere", "ghcr.io/a/b"),
      pod("gone", "gcr.io/a/b", { deletionTimestamp: "2026-11-01T00:00:00Z" }),
      pod("opted-out", "gcr.io/a/b", { annotations: { "gilly.io/repair": "false" } }),
    ],
  });
  const registries = compileRules([{ origin: "gcr.io", mirrors: ["mirror.example"] }]);
  const exclusions = compileExclusions({ images: [], namespaces: [] });
  const [always, digests] = judgeReach(pods, { registries, exclusions, canAliasDigest: false });
  assertEquals([always!.verdict, always!.message.split(": ").at(-1)], ["warn", "default/always"]);
  assertEquals([digests!.verdict, digests!.message.split(": ").at(-1)], ["warn", "default/digest"]);
  const [, onContainerd] = judgeReach(pods, { registries, exclusions, canAliasDigest: true });
  assertEquals(onContainerd!.verdict, "ok");
  assertEquals(judgeReach(pods, { registries, exclusions, canAliasDigest: undefined }).length, 1);
});

Deno.test("pods that wait are a warning only when nobody excluded them and nothing brings their image", () => {
  const left = (reason: "excluded" | "no-rule", podName: string) => ({ pod: podName, reason, advice: `do ${reason}` });
  assertEquals(judgeWaiting(3, 0, []).verdict, "ok");
  assertEquals(judgeWaiting(3, 2, [left("excluded", "a/b")]).verdict, "ok");
  const lost = judgeWaiting(3, 2, [left("excluded", "a/b"), left("no-rule", "a/c"), left("no-rule", "a/c")]);
  assertEquals([lost.verdict, lost.remedy], ["warn", "do no-rule"]);
  assertStringIncludes(lost.message, "1 of them excluded; cannot be repaired: a/c (no-rule)");
});

Deno.test("a mirror that does not answer is not said to lack an image that is to be kept", () => {
  const of = (state: "lost" | "unanswered" | "unknown") => {
    const { verdict, message, remedy } = judgeKept("gcr.io/pause:3", { state, because: "B" });
    return [verdict, message, remedy];
  };
  assertEquals(of("lost"), ["fail", "not here, and no mirror has it: B", "push it to a mirror"]);
  assertEquals(of("unanswered"), ["fail", "not here, and no mirror that answers has it: B", "see the mirrors above"]);
  assertEquals(of("unknown"), ["fail", "cannot be inspected: B", "see the runtime above"]);
});

Deno.test("a daemon in trouble and a mirror that cools down are warnings", () => {
  const at = new Date(NOW).toISOString();
  const mirrors = [
    { mirror: "up.example", state: "up", coolingDownUntil: null, because: null },
    { mirror: "unasked.example", state: "unknown", coolingDownUntil: null, because: "not asked" },
    {
      mirror: "tired.example",
      state: "cooling-down",
      coolingDownUntil: new Date(NOW + 2500).toISOString(),
      because: "503",
    },
    { mirror: "down.example", state: "failed", coolingDownUntil: at, because: "refused" },
  ];
  const trouble = { pass: "no answer from the kubelet", config: null };
  const away = { pass: null, config: null, engine: "the Docker Engine at /run/docker.sock does not answer (refused)" };
  const { state } = readNodeState(JSON.stringify({ version: 1, pid: 1, writtenAt: at, trouble, mirrors }));
  const findings = judgeDaemon(state!, NOW);
  assertEquals(findings.map(({ name, verdict }) => [name, verdict]), [
    ["daemon", "warn"],
    ["cool-down of tired.example", "warn"],
    ["cool-down of down.example", "warn"],
  ]);
  assertEquals(findings[1]!.message, "is not asked for another 3 s: 503");
  const withoutEngine = readNodeState(JSON.stringify({ version: 1, pid: 1, writtenAt: at, trouble: away })).state!;
  const [{ verdict, message, remedy } = { verdict: "ok", message: "", remedy: "" }] = judgeDaemon(withoutEngine, NOW);
  assertEquals([verdict, remedy], ["warn", "see the runtime above; the daemon goes on by itself"]);
  assertEquals(message, `${away.engine}: nothing can be repaired; 0 repaired since start`);
});

Deno.test("findings are one line each for grep, and folded for a terminal, with the sum below", () => {
  const findings = [ok("a", "fine"), warn("b", "it is not quite as it should be", "do this and that"), fail("c", "no")];
  assertEquals(
    renderFindings(findings, undefined),
    "ok    a: fine\nwarn  b: it is not quite as it should be\n      → do this and that\nfail  c: no\n\n1 ok, 1 warn, 1 fail\n",
  );
  assertEquals(renderFindings(findings.slice(1, 2), 24).split("\n").slice(0, 4), [
    "warn  b: it is not quite",
    "      as it should be",
    "      → do this and that",
    "",
  ]);
  assertEquals(
    [worstOf(findings), worstOf(findings.slice(0, 2)), worstOf([])],
    ["fail", "warn", "ok"],
  );
});
