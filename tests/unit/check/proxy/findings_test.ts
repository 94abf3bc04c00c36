// Tests lib/check/proxy/findings.ts: a finding for each condition under which a pull does not reach
// the registry proxy.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkProxy, type ProxyFacts } from "../../../../lib/check/proxy/findings.ts";
import { containerdAdvice } from "../../../../lib/runtime/containerd/advice.ts";
import { dockerAdvice } from "../../../../lib/runtime/docker/advice.ts";
import { NOW } from "../../../fakes/node_facts.ts";
import { proxyStateWith } from "../../../fakes/proxy_state.ts";

const DAY = 24 * 3600 * 1000;

function facts(changes: Partial<ProxyFacts> = {}): ProxyFacts {
  const hosts = ["gcr.io", "quay.io"];
  return {
    now: NOW,
    hosts,
    listen: "127.0.0.1:12443",
    way: "169.254.77.7:443",
    configFile: "/etc/gilly/config.yaml",
    seen: { state: proxyStateWith({ mirrors: [] }) },
    certificate: { file: "/etc/gilly/proxy.crt", ...certificate(200) },
    silent: { here: undefined, way: undefined },
    hostsFile: { isLink: false, redirected: new Set(hosts), foreign: [] },
    untrusted: [],
    missing: [],
    runtime: dockerAdvice("/run/docker.sock"),
    httpsProxy: undefined,
    ...changes,
  };
}

function certificate(days: number, notFor: readonly string[] = []) {
  return { facts: { commonName: "gilly proxy", organizations: [], notBefore: 0, notAfter: NOW + days * DAY }, notFor };
}

const withoutRedirect = { isLink: false, redirected: new Set<string>(), foreign: [] };
const stopped = { state: undefined, because: "/run/gilly-proxy/state.json does not exist", silent: false } as const;

Deno.test("a proxy that runs, and to which everything is led, is ok", () => {
  assertEquals(checkProxy(facts()).map(({ verdict, name }) => `${verdict} ${name}`), [
    "ok registry proxy",
    "ok certificate of the proxy",
    "ok redirect",
  ]);
});

const CONDITIONS: readonly (readonly [
  what: string,
  changes: Partial<ProxyFacts>,
  finding: string,
  message: string,
  remedy: string,
])[] = [
  [
    "a proxy that does not run, with the redirect withdrawn",
    { seen: stopped, silent: { here: "refused", way: "refused" }, hostsFile: withoutRedirect },
    "warn registry proxy",
    "not running: /run/gilly-proxy/state.json does not exist; pulls go to the registries themselves, repairs go on",
    "systemctl start gilly-proxy",
  ],
  [
    "a proxy that does not run while pulls are led to it",
    { seen: stopped, silent: { here: "refused", way: "refused" } },
    "fail registry proxy",
    "and gcr.io, quay.io are still led to it: their pulls fail",
    "gilly-redirect down; systemctl start gilly-proxy",
  ],
  [
    "another program on its port",
    { silent: { here: "invalid peer certificate", way: undefined } },
    "fail registry proxy",
    "it does not answer at 127.0.0.1:12443: invalid peer certificate",
    "systemctl restart gilly-proxy",
  ],
  [
    "a config that it refused",
    { seen: { state: proxyStateWith({ trouble: { config: "config.yaml was refused", certificate: null } }) } },
    "warn registry proxy",
    "config.yaml was refused; serving",
    "fix /etc/gilly/config.yaml; then systemctl reload gilly",
  ],
  [
    "a certificate that is not there",
    { certificate: { file: "/etc/gilly/proxy.crt", problem: "does not exist" } },
    "fail certificate of the proxy",
    "/etc/gilly/proxy.crt does not exist",
    "systemctl restart gilly-proxy makes a new one",
  ],
  [
    "a certificate that expired",
    { certificate: { file: "/etc/gilly/proxy.crt", ...certificate(-2.5) } },
    "fail certificate of the proxy",
    "/etc/gilly/proxy.crt expired 2 days ago (2026-10-29): Docker refuses it",
    "systemctl restart gilly-proxy makes a new one",
  ],
  [
    "a certificate that should have been renewed",
    { certificate: { file: "/etc/gilly/proxy.crt", ...certificate(20) } },
    "warn certificate of the proxy",
    "expires in 20 days (2026-11-21), and the redirect has not renewed it",
    "systemctl restart gilly-proxy makes a new one",
  ],
  [
    "a certificate for other registries",
    { certificate: { file: "/etc/gilly/proxy.crt", ...certificate(200, ["quay.io"]) } },
    "warn certificate of the proxy",
    "is not for quay.io",
    "systemctl reload gilly-redirect makes a new one",
  ],
  [
    "registries that are not led to it, for no reason that is seen here",
    { hostsFile: { ...withoutRedirect, redirected: new Set(["gcr.io"]) } },
    "warn redirect",
    "pulls of quay.io are not led to the proxy",
    "systemctl restart gilly-redirect; journalctl -u gilly-redirect -n 5 says why not",
  ],
  [
    "a host without openssl and iptables",
    { hostsFile: withoutRedirect, missing: ["openssl", "iptables"] },
    "warn redirect",
    ": openssl and iptables are not installed",
    "install that",
  ],
  [
    "a hosts file that is a symbolic link",
    { hostsFile: { ...withoutRedirect, isLink: true } },
    "warn redirect",
    ": /etc/hosts is a symbolic link",
    "make it a file",
  ],
  [
    "a line of somebody else",
    { hostsFile: { ...withoutRedirect, foreign: ["10.0.0.1 quay.io"] } },
    "warn redirect",
    ": /etc/hosts has '10.0.0.1 quay.io' already",
    "remove that line, or leave the registry out of proxy.hosts in /etc/gilly/config.yaml",
  ],
  [
    "a NAT rule that is gone",
    { silent: { here: undefined, way: "no answer within 5 s" } },
    "fail redirect",
    "gcr.io, quay.io lead to 169.254.77.7:443, which does not reach the proxy: no answer within 5 s",
    "systemctl restart gilly-redirect",
  ],
  [
    "a certificate that Docker does not trust",
    { untrusted: ["quay.io"] },
    "fail redirect",
    "Docker does not trust the proxy for quay.io: their pulls fail",
    "systemctl restart gilly-redirect",
  ],
  [
    "an Engine with an HTTPS proxy",
    { httpsProxy: { url: "http://proxy.example:3128", noProxy: "gcr.io" }, hostsFile: withoutRedirect },
    "warn redirect",
    "Docker pulls from quay.io through http://proxy.example:3128, past the registry proxy",
    "add NO_PROXY=quay.io to Docker's environment (systemctl edit docker) and restart Docker",
  ],
  [
    "no registry that can be redirected",
    { hosts: [] },
    "warn redirect",
    "no rule has a registry that can be redirected",
    "name one in proxy.hosts of /etc/gilly/config.yaml",
  ],
  [
    "a mirror that is cooling down",
    { seen: { state: proxyStateWith() } },
    "warn proxy's cool-down of n.example",
    "the proxy does not use it for another 30 s: n.example answered 503",
    "the proxy retries it automatically",
  ],
];

for (const [what, changes, finding, message, remedy] of CONDITIONS) {
  Deno.test(`${what} is told, with what to do`, () => {
    const found = checkProxy(facts(changes)).find(({ verdict, name }) => `${verdict} ${name}` === finding);
    assertStringIncludes(found?.message ?? "no such finding", message);
    assertStringIncludes(found?.remedy ?? "", remedy);
  });
}

Deno.test("an HTTPS proxy that leaves the registries out is no matter", () => {
  const [, , redirect] = checkProxy(facts({ httpsProxy: { url: "http://p:3128", noProxy: "gcr.io,.io" } }));
  assertEquals(redirect?.verdict, "ok");
});

/** Facts of a worker with containerd, where these registries are led by files. */
function factsOfContainerd(led: readonly string[], folder: string | undefined): ProxyFacts {
  return facts({
    hostsFile: withoutRedirect,
    untrusted: ["gcr.io", "quay.io"],
    missing: ["iptables"],
    runtime: containerdAdvice("/run/containerd/containerd.sock"),
    files: { led: new Set(led), folder },
  });
}

for (
  const [what, led, folder, verdict, message] of [
    ["led", ["docker.io", "gcr.io", "quay.io"], "/etc/containerd/certs.d", "ok", "docker.io, gcr.io, quay.io are led"],
    ["led as far as is known", ["gcr.io", "quay.io"], undefined, "ok", "pulls of gcr.io, quay.io are led to the proxy"],
    ["led by files that are not read", ["gcr.io", "quay.io"], "", "warn", "by files that containerd does not read"],
    ["led in part", ["gcr.io"], "/etc/containerd/certs.d", "warn", "pulls of quay.io are not led to the proxy"],
  ] as const
) {
  Deno.test(`with containerd, pulls that are ${what} are ${verdict}, and nothing is said of a redirect`, () => {
    const found = checkProxy(factsOfContainerd(led, folder));
    assertEquals(found.map(({ name }) => name), ["registry proxy", "certificate of the proxy", "way to the proxy"]);
    assertEquals(found[2]!.verdict, verdict);
    assertStringIncludes(found[2]!.message, message);
    for (const { message, remedy } of found) {
      assertEquals(/redirect|docker(?!\.io)/i.test(`${message} ${remedy}`), false);
    }
  });
}

Deno.test("with containerd, a certificate near its end is renewed by a restart, and no redirect is named", () => {
  const near = {
    ...factsOfContainerd([], undefined),
    certificate: { file: "/etc/gilly/proxy.crt", ...certificate(20) },
  };
  const found = checkProxy(near).find(({ name }) => name === "certificate of the proxy")!;
  assertEquals([found.verdict, found.message, found.remedy], [
    "warn",
    "/etc/gilly/proxy.crt expires in 20 days (2026-11-21)",
    "systemctl restart gilly-proxy makes a new one",
  ]);
});
