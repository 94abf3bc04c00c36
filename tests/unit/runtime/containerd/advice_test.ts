// Tests lib/runtime/containerd/advice.ts: advice that is true for this containerd, and never Docker's.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { containerdAdvice } from "../../../../lib/runtime/containerd/advice.ts";
import type { NetworkFault } from "../../../../lib/runtime/network_texts.ts";

const advice = containerdAdvice("/run/containerd/containerd.sock");
const k3s = containerdAdvice("/run/k3s/containerd/containerd.sock");

function fixFor(version: string, mirrorsFolder: string | undefined, which = advice) {
  const about = { name: "containerd", apiVersion: "CRI v1", imageStore: "containerd's", canAliasDigest: true };
  return which.permanentFix({ ...about, version, mirrorsFolder });
}

Deno.test("a containerd with a config_path has a permanent fix, which gilly export writes", () => {
  assertEquals(fixFor("1.7.27", "/etc/containerd/certs.d:/etc/docker/certs.d"), {
    message: "this containerd reads mirrors from /etc/containerd/certs.d/HOST/hosts.toml",
    remedy: "gilly export containerd writes them",
  });
});

for (
  const [version, table] of [
    ["1.6.20~ds1", '[plugins."io.containerd.grpc.v1.cri".registry]'],
    ["v1.7.27", '[plugins."io.containerd.grpc.v1.cri".registry]'],
    ["2.1.9+unknown", '[plugins."io.containerd.cri.v1.images".registry]'],
    ["v2.0.0", '[plugins."io.containerd.cri.v1.images".registry]'],
  ] as const
) {
  Deno.test(`without a config_path, the line for containerd ${version} is given`, () => {
    const { message, remedy } = fixFor(version, "");
    assertEquals(
      message,
      "this containerd has no config_path, so it reads no hosts.toml: keep Gilly running",
    );
    assertEquals(
      remedy,
      `write config_path = "/etc/containerd/certs.d" under ${table} into /etc/containerd/config.toml ` +
        "and restart containerd; gilly export containerd writes the files",
    );
    assertStringIncludes(fixFor(version, undefined).remedy!, `if not: ${remedy}`);
  });
}

Deno.test("the containerd of k3s is started, asked and configured by k3s", () => {
  assertEquals(fixFor("v1.7.27-k3s1", "/var/lib/rancher/k3s/agent/etc/containerd/certs.d", k3s), {
    message: "k3s and rke2 read mirrors from registries.yaml",
    remedy: "gilly export k3s writes it",
  });
  assertStringIncludes(k3s.remedies.notListening, "journalctl -u 'k3s*' -u 'rke2*' -n 20");
  assertStringIncludes(k3s.mirrorRemedy("m.example", "unknown-issuer")!, 'configs."m.example".tls.ca_file');
  assertStringIncludes(k3s.mirrorRemedy("m.example", "plain-http")!, "http://m.example under mirrors");
  for (const text of Object.values(k3s.remedies)) assert(!/(start|status|-u) containerd/.test(text), text);
});

Deno.test("a mirror that cannot be reached has a remedy only if containerd's own settings may be the cause", () => {
  const remedy = (fault: NetworkFault) => advice.mirrorRemedy("m.example", fault);
  assertStringIncludes(remedy("unknown-issuer")!, "/etc/containerd/certs.d/m.example/ca.crt");
  assertStringIncludes(remedy("plain-http")!, "m.example/hosts.toml");
  assertEquals(remedy("refused"), undefined);
});

Deno.test("no advice for containerd speaks of Docker", () => {
  for (const described of [advice, k3s]) {
    const texts = [
      ...Object.values(described.remedies),
      ...Object.values(described.findings),
      described.proxyRemedy,
      described.noProxyRemedy(["gcr.io"]),
      ...(["unknown-issuer", "proxy", "plain-http", "tls-on-plain", "client-certificate"] as const).map((fault) =>
        described.mirrorRemedy("m.example", fault)!
      ),
      ...["", "/etc/containerd/certs.d", undefined].flatMap((folder) =>
        Object.values(fixFor("2.0.0", folder, described))
      ),
    ];
    for (const text of texts) assert(!/docker/i.test(text), text);
  }
});
