// Tests lib/check/files/kubelet_files.ts: when certificates expire, and whom they name.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { expiry } from "../../../../lib/check/expiry.ts";
import { checkAuthorities, checkClientCertificate, checkRights } from "../../../../lib/check/files/kubelet_files.ts";
import type { CertificateFacts } from "../../../../lib/support/certificate_facts.ts";
import { readCertificates } from "../../../../lib/support/certificates.ts";
import { makeAuthority } from "../../../fakes/certificates.ts";

const NOW = Date.UTC(2026, 10, 1, 12);
const DAY = 86_400_000;

const facts = (days: number, rest: Partial<CertificateFacts> = {}): CertificateFacts => (
  { commonName: "gilly", organizations: [], notBefore: NOW - DAY, notAfter: NOW + days * DAY, ...rest }
);

Deno.test("the facts read from a certificate are those that it was issued with", () => {
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
    assertEquals(checkClientCertificate("client.crt", facts(days), NOW).verdict, verdict);
    assertEquals(checkAuthorities("ca.crt", [facts(days)], NOW).verdict, verdict);
  });
}

Deno.test("of several CAs, the one that expires last decides, and the message counts the expired ones", () => {
  const { verdict, message } = checkAuthorities("ca.crt", [facts(-3), facts(300)], NOW);
  assertEquals(verdict, "ok");
  assertStringIncludes(message, "2 certificates, 1 of them expired");
});

Deno.test("a certificate that is not yet valid suggests checking the clock", () => {
  const early = checkClientCertificate("client.crt", facts(300, { notBefore: NOW + DAY }), NOW);
  assertEquals([early.verdict, early.remedy], ["fail", "check this host's clock"]);
});

for (
  const [subject, rest, verdict] of [
    ["an administrator of every cluster", { organizations: ["system:masters"] }, "warn"],
    ["kubeadm's administrators since 1.29", { organizations: ["x", "kubeadm:cluster-admins"] }, "warn"],
    ["the API server itself", { commonName: "kube-apiserver-kubelet-client" }, "warn"],
    ["a dedicated user", { organizations: ["operators"] }, "ok"],
  ] as const
) {
  Deno.test(`a certificate of ${subject} is ${verdict}`, () => {
    const { verdict: found, message, remedy = "" } = checkRights(facts(300, rest));
    assertEquals(found, verdict);
    assertStringIncludes(message + remedy, "nodes/proxy");
  });
}
