// Tests lib/check/mirrors.ts: how a mirror is probed, and the finding for its answer.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkMirrorFailure, probesOf } from "../../../lib/check/mirrors.ts";
import { containerdAdvice } from "../../../lib/runtime/containerd/advice.ts";
import { dockerAdvice } from "../../../lib/runtime/docker/advice.ts";

const DOCKER = dockerAdvice("/run/docker.sock");

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
      "with a name from the mirror's certificate",
    ],
    ["http: server gave HTTP response to HTTPS client", "registry-down", "fail", "insecure-registries"],
    ["proxyconnect tcp: dial tcp", "registry-down", "fail", "proxy"],
    ["no answer for 30 s, given up", "stalled", "fail", "firewall"],
  ] as const
) {
  Deno.test(`a mirror that answers "${text}" is a ${verdict}`, () => {
    const finding = checkMirrorFailure("m.example", { kind, text }, undefined, DOCKER);
    assertEquals(finding.verdict, verdict);
    assertStringIncludes(finding.remedy ?? "", remedy);
  });
}

Deno.test("every mirror is probed once, below the path of its first rule, for an image that does not exist", () => {
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

Deno.test("a mirror that speaks plain HTTP is not checked where Gilly asks it, and containerd's setting is named", () => {
  const text = "HEAD m.example/a manifests/b: tls: received corrupt message of type InvalidContentType";
  const advice = containerdAdvice("/run/containerd/containerd.sock");
  const { verdict, message, remedy } = checkMirrorFailure(
    "m.example",
    { kind: "registry-down", text },
    undefined,
    advice,
  );
  assertEquals([verdict, message], ["warn", "not checked, because it speaks plain HTTP"]);
  assertStringIncludes(remedy!, 'server = "http://m.example" of /etc/containerd/certs.d/m.example/hosts.toml');
});
