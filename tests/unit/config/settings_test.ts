// Tests lib/config/keys.ts, settings.ts and values.ts: their messages, key by key.

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ConfigError, parseConfig } from "../../../lib/config/config.ts";
import { DEFAULTS } from "../../../lib/config/settings.ts";

const KUBELET = "kubelet: {url: 'https://w:10250', tokenFile: /t}";
const REGISTRIES = "registries: {gcr.io: m.example}";

function mistakesIn(text: string): string[] {
  return assertThrows(() => parseConfig(text, "c.yaml"), ConfigError).message.split("\n");
}

const DURATION = "such as 5s, 5m or 1h";

Deno.test("bounds are inclusive", () => {
  const text = "repair: {backoff: {initial: 100ms, max: 24h}, noProgress: 1s}\npoll: {interval: 1h, jitter: 1}";
  const { repair, poll } = parseConfig(`${KUBELET}\n${REGISTRIES}\n${text}`, "c.yaml");
  assertEquals([repair.backoff, repair.noProgressSeconds], [{ initialSeconds: 0.1, maxSeconds: 86_400 }, 1]);
  assertEquals(poll, { intervalSeconds: 3600, safetySeconds: 60, jitter: 1 });
});

const LISTEN =
  "expected off, a port of the loopback address such as 9464, or an address and a port such as 10.0.0.5:9464";

const PROXY_LISTEN = "expected a port of 127.0.0.1, where the redirect leads, such as 127.0.0.1:12443";
const PROXY_ADDRESS = "expected an IPv4 address that no other host has, such as 169.254.77.7";

const CRIO =
  "it has no call that names an image, so its images cannot be repaired; its own mirrors can: gilly export registries.conf";

/** Single lines, and their mistakes. */
const LINES: readonly (readonly [line: string, mistake: string])[] = [
  ["poll: {interval: 0.5}", `poll.interval: expected a duration from 1s to 1h, ${DURATION}, got the number 0.5`],
  ["poll: {interval: 5 s}", `poll.interval: expected a duration from 1s to 1h, ${DURATION}, got "5 s"`],
  ["poll: {interval: 2h}", `poll.interval: expected a duration from 1s to 1h, ${DURATION}, got "2h"`],
  ["poll: {interval: [5s]}", `poll.interval: expected a duration from 1s to 1h, ${DURATION}, got a list`],
  ["poll: {jitter: 1.1}", "poll.jitter: expected a number from 0 to 1, got the number 1.1"],
  ["poll: {jitter: .nan}", "poll.jitter: expected a number from 0 to 1, got the number NaN"],
  ["poll: 5s", "poll: expected a mapping of keys to values, got a string"],
  ["repair: {mode: early}", 'repair.mode: expected on-failure or eager, got "early"'],
  ["repair: {concurrency: 1.5}", "repair.concurrency: expected a whole number from 1 to 64, got the number 1.5"],
  ["repair: {noProgress: 900ms}", `repair.noProgress: expected a duration from 1s to 1h, ${DURATION}, got "900ms"`],
  [
    "repair: {backoff: {initial: 99ms}}",
    `repair.backoff.initial: expected a duration from 100ms to 1h, such as 500ms, 5s, 5m or 1h, got "99ms"`,
  ],
  [
    "repair: {backoff: {max: 25h}}",
    `repair.backoff.max: expected a duration from 1s to 24h, ${DURATION}, got "25h"`,
  ],
  ["repair: {no_progress: 60s}", "repair.no_progress: unknown key; did you mean noProgress?"],
  ["repair: {backoff: {min: 1s}}", "repair.backoff.min: unknown key; did you mean max?"],
  ["docker: {sockets: /x}", "docker.sockets: unknown key; did you mean socket?"],
  [
    "docker: {socket: docker.sock}",
    'docker.socket: "docker.sock" is not absolute; expected the absolute path of a unix socket, such as /var/run/docker.sock',
  ],
  [
    "docker: {socket: 'tcp://1.2.3.4:2375'}",
    "docker.socket: is not a unix socket, the only transport that Gilly supports; expected the absolute path of a unix socket, such as /var/run/docker.sock",
  ],
  [
    "docker: {socket: /etc/docker/docker.sock}",
    "docker.socket: /etc/docker/docker.sock is in /etc, where Gilly may not open a socket; " +
    "expected the absolute path of a unix socket, such as /var/run/docker.sock",
  ],
  [
    "containerd: {socket: 'unix:///run/../proc/1/root/containerd.sock'}",
    "containerd.socket: /run/../proc/1/root/containerd.sock is in /proc, where Gilly may not open a socket; " +
    "expected the absolute path of a unix socket, such as /run/containerd/containerd.sock",
  ],
  [
    "containerd: {socket: containerd.sock}",
    'containerd.socket: "containerd.sock" is not absolute; expected the absolute path of a unix socket, such as ' +
    "/run/containerd/containerd.sock",
  ],
  ["containerd: {sokcet: /x}", "containerd.sokcet: unknown key; did you mean socket?"],
  ["containerd: /run/containerd/containerd.sock", "containerd: expected a mapping of keys to values, got a string"],
  [
    "containerd: {socket: /var/run/docker.sock}",
    "containerd.socket: is docker's socket; write it under docker: instead of containerd:",
  ],
  [
    "docker: {socket: 'unix:///run/k3s/containerd/containerd.sock'}",
    "docker.socket: is containerd's socket; write it under containerd: instead of docker:",
  ],
  [
    "docker: {socket: /var/run/cri-dockerd.sock}",
    "docker.socket: is the socket of a shim, which has no images of its own; expected docker: {socket: /var/run/docker.sock}",
  ],
  ["containerd: {socket: /var/run/crio/crio.sock}", `containerd.socket: is CRI-O's socket: ${CRIO}`],
  ["crio: {socket: /var/run/crio/crio.sock}", `crio: CRI-O cannot be served: ${CRIO}`],
  ["cri-o:", `cri-o: CRI-O cannot be served: ${CRIO}`],
  ["metrics: {listen: 0}", `metrics.listen: ${LISTEN}, got the number 0`],
  ["metrics: {listen: 70000}", `metrics.listen: ${LISTEN}, got the number 70000`],
  ["metrics: {listen: true}", `metrics.listen: ${LISTEN}, got true`],
  ["metrics: {listen: worker-1:9464}", `metrics.listen: ${LISTEN}, got "worker-1:9464"`],
  ["metrics: {listen: '*:9464'}", `metrics.listen: ${LISTEN}; every address of this host is 0.0.0.0:PORT`],
  ["metrics: {listen: '::1:9464'}", `metrics.listen: ${LISTEN}, got "::1:9464"`],
  ["metrics: {listen: [1]}", `metrics.listen: ${LISTEN}, got a list; put an IPv6 address in quotes: "[::1]:9464"`],
  ["metrics: {port: 9464}", "metrics.port: unknown key; expected one of listen, textfile"],
  [
    "metrics: {textfile: /x/gilly.txt}",
    'metrics.textfile: "/x/gilly.txt" does not end in .prom, which is all node_exporter reads',
  ],
  ["logging: {format: true}", "logging.format: expected text or json, got true"],
  ["ledger: {file: ''}", "ledger.file: is empty; expected the path of a file"],
  [
    "ledger: {maxSize: 10MB}",
    'ledger.maxSize: expected a size from 4KiB to 1GiB, such as 512KiB or 10MiB, got "10MB"',
  ],
  [
    "ledger: {maxSize: 10000000}",
    "ledger.maxSize: expected a size from 4KiB to 1GiB, such as 512KiB or 10MiB, got the number 10000000",
  ],
  ["ledger: {keep: 0}", "ledger.keep: expected a whole number from 1 to 100, got the number 0"],
  ["ledger: {file: ~/l}", 'ledger.file: "~/l" begins with ~, which is not expanded here; write the full path'],
  ["keep: nginx", "keep: expected a list of image references, got a string"],
  ["keep: [null]", "keep[0]: is empty; expected an image reference"],
  ["keep: [Foo]", 'keep[0]: invalid image reference "Foo": repository name must be lowercase'],
  [
    "exclude: {namespaces: [Kube]}",
    'exclude.namespaces[0]: "Kube" is not a valid namespace: expected one such as kube-system, or a pattern such as team-*',
  ],
  [
    "exclude: {images: [on, true]}",
    "exclude.images[1]: expected a pattern of images such as quay.io/team/*, got true; put it in quotes",
  ],
  [
    "mirrors: {m.example: {authPaths: [a/**]}}",
    'mirrors."m.example".authPaths: limits credentials that are not configured: add authFile',
  ],
  [
    "mirrors: {m.example: {authFile: /a, authPaths: []}}",
    'mirrors."m.example".authPaths: is an empty list; expected at least one pattern such as proxy/**',
  ],
  [
    "mirrors: {m.example: {authFile: /a, authPaths: [/a]}}",
    'mirrors."m.example".authPaths[0]: "/a" is not a valid path pattern: expected a path below the mirror\'s host, such as proxy/**',
  ],
  [
    "mirrors: {m.example: {authFile: /a, authPaths: [m.example/a]}}",
    'mirrors."m.example".authPaths[0]: begins with the mirror\'s own host; leave the host out',
  ],
  ["mirrors: {m.example: {authfile: /a}}", 'mirrors."m.example".authfile: unknown key; did you mean authFile?'],
  [
    "mirrors: {m.example: {}, M.example: {}}",
    'mirrors."M.example": is a duplicate in another spelling; keep one of them',
  ],
  [
    "mirrors: {m.example/path: {}}",
    'mirrors."m.example/path": is more than a host; expected HOST or HOST:PORT of a mirror',
  ],
  [
    "mirrors: {other.test: {}}",
    'mirrors."other.test": is not a mirror of any rule in registries; expected one of m.example',
  ],
  ["proxy: {hosts: gcr.io}", "proxy.hosts: expected a list of hosts, got a string"],
  [
    "proxy: {hosts: ['*.pkg.dev']}",
    'proxy.hosts[0]: "*.pkg.dev" is a pattern, which /etc/hosts cannot hold; list the hosts themselves',
  ],
  [
    "proxy: {hosts: ['gcr.io:443']}",
    'proxy.hosts[0]: "gcr.io:443" is more than a host; expected one such as gcr.io, which is served on port 443',
  ],
  [
    "proxy: {hosts: [gcr.io/team]}",
    'proxy.hosts[0]: "gcr.io/team" is more than a host; expected one such as gcr.io, which is served on port 443',
  ],
  [
    "proxy: {hosts: [localhost]}",
    'proxy.hosts[0]: "localhost" is not the host of a registry; expected one such as gcr.io',
  ],
  [
    "proxy: {hosts: [10.0.0.1]}",
    'proxy.hosts[0]: "10.0.0.1" is not the host of a registry; expected one such as gcr.io',
  ],
  [
    "proxy: {hosts: [docker.io]}",
    "proxy.hosts[0]: docker.io cannot be redirected; gilly-redirect plan shows what to put into Docker's daemon.json instead",
  ],
  ["proxy: {hosts: [gcr.io, GCR.io]}", 'proxy.hosts[1]: "gcr.io" is listed twice; keep one of them'],
  [
    "proxy: {hosts: [m.example]}",
    'proxy.hosts[0]: "m.example" is a mirror of a rule, so the proxy would ask itself; remove it',
  ],
  ["proxy: {hosts: [gcr.oi]}", 'proxy.hosts[0]: no rule in registries is for "gcr.oi"; did you mean gcr.io?'],
  ["proxy: {listen: 0.0.0.0:12443}", `proxy.listen: ${PROXY_LISTEN}, got "0.0.0.0:12443"`],
  ["proxy: {listen: off}", `proxy.listen: ${PROXY_LISTEN}, got "off"`],
  ["proxy: {listen: [1]}", `proxy.listen: ${PROXY_LISTEN}, got another type`],
  [
    "proxy: {address: 127.0.0.2}",
    `proxy.address: 127.0.0.2 is in 127.0.0.0/8, where Docker verifies no certificate; ${PROXY_ADDRESS}`,
  ],
  ["proxy: {address: '::1'}", `proxy.address: "::1" is not an IPv4 address; ${PROXY_ADDRESS}`],
  ["proxy: {address: 224.0.0.1}", `proxy.address: 224.0.0.1 is not the address of a host; ${PROXY_ADDRESS}`],
  ["proxy: {stallTimeout: 0s}", 'proxy.stallTimeout: expected a duration from 1s to 10m, such as 5s or 5m, got "0s"'],
  [
    "proxy: {headersTimeout: 2m}",
    'proxy.headersTimeout: expected a duration from 100ms to 1m, such as 500ms or 5s, got "2m"',
  ],
  [
    "proxy: {port: 12443}",
    "proxy.port: unknown key; expected one of hosts, listen, address, certFile, keyFile, stallTimeout, headersTimeout, ledgerFile",
  ],
  ["__proto__: {x: 1}", '"__proto__": unknown key; did you mean proxy?'],
  ["constructor: {x: 1}", "constructor: unknown key; expected one of " + Object.keys(DEFAULTS).join(", ")],
];

for (const [line, mistake] of LINES) {
  Deno.test(`\`${line}\` is refused in plain words`, () => {
    assertEquals(mistakesIn(`${KUBELET}\n${REGISTRIES}\n${line}`), [`c.yaml:3: ${mistake}`]);
  });
}

Deno.test("a config with both runtimes is refused at the line of containerd", () => {
  const both = "containerd: {socket: /run/containerd/containerd.sock}\ndocker:";
  const mistake = "containerd: conflicts with docker: configure the runtime that the kubelet uses, not both";
  assertEquals(mistakesIn(`${KUBELET}\n${REGISTRIES}\n${both}`), [`c.yaml:3: ${mistake}`]);
  assertEquals(mistakesIn(`${KUBELET}\n${REGISTRIES}\ndocker: {socket: /x}\ncontainerd:`), [`c.yaml:4: ${mistake}`]);
});

Deno.test("a rule needs a unique origin and at least one mirror", () => {
  const mistakes = (rules: string) => mistakesIn(`${KUBELET}\nregistries:${rules}`);
  assertEquals(mistakes(" {}"), [
    "c.yaml:2: registries: is empty; expected at least one origin and its mirror, such as gcr.io: mirror.example",
  ]);
  assertEquals(mistakes(" {gcr.io: []}"), [
    'c.yaml:2: registries."gcr.io": is an empty list; expected at least one mirror',
  ]);
  assertEquals(mistakes("\n  gcr.io:"), [
    'c.yaml:3: registries."gcr.io": is empty; expected a mirror or a list of mirrors',
  ]);
  assertEquals(mistakes("\n  docker.io: m.example\n  index.docker.io: m.example"), [
    'c.yaml:4: registries."index.docker.io": is the same origin as "docker.io"; keep one of them',
  ]);
});

Deno.test("a rule records its line and takes one or more mirrors", () => {
  const { registries } = parseConfig(
    `registries:\n  gcr.io: a.example\n  "*":\n    - b.example\n    - c.example/x\n${KUBELET}`,
    "c",
  );
  assertEquals(registries, [
    { origin: "gcr.io", mirrors: ["a.example"], line: 2 },
    { origin: "*", mirrors: ["b.example", "c.example/x"], line: 3 },
  ]);
});

Deno.test("the hosts of the proxy are by default the origins that can be redirected", () => {
  const hosts = (registries: string, proxy = "") =>
    parseConfig(`${KUBELET}\nregistries: ${registries}\n${proxy}`, "c").proxy.hosts;
  assertEquals(
    hosts(
      "{gcr.io: m.example, quay.io/team: m.example, '*.pkg.dev': m.example, 'r.example:5000': m.example, '*': m.example}",
    ),
    ["gcr.io"],
  );
  assertEquals(hosts("{docker.io: m.example, quay.io: gcr.io/quay, gcr.io: m.example}"), ["quay.io"], "no mirror");
  assertEquals(hosts("{10.0.0.1: m.example, GCR.io: m.example}"), ["gcr.io"], "an address is no name");
  assertEquals(hosts("{'*.pkg.dev': m.example}", "proxy: {hosts: [US.pkg.dev]}"), ["us.pkg.dev"]);
  assertEquals(hosts("{'*': m.example}", "proxy: {hosts: [ghcr.io]}"), ["ghcr.io"]);
});

/** Values of metrics.listen in YAML, and the resulting host name. */
const LISTENS: readonly (readonly [yaml: string, hostname: string | undefined])[] = [
  ["off", undefined],
  ["", undefined],
  ["9464", "127.0.0.1"],
  ["'9464'", "127.0.0.1"],
  [":9464", "127.0.0.1"],
  ["localhost:9464", "localhost"],
  ["0.0.0.0:9464", "0.0.0.0"],
  ["'[::1]:9464'", "::1"],
  ["'[::]:9464'", "::"],
];

for (const [yaml, hostname] of LISTENS) {
  Deno.test(`\`metrics: {listen: ${yaml}}\` serves on ${hostname ?? "no address"}`, () => {
    const { metrics } = parseConfig(`${KUBELET}\n${REGISTRIES}\nmetrics:\n  listen: ${yaml}`, "c.yaml");
    assertEquals(metrics, hostname === undefined ? {} : { listen: { hostname, port: 9464 } });
  });
}

/** Addresses of kubelets, and a part of the mistake; undefined if there is none. */
const ADDRESSES: readonly (readonly [url: string, said: string | undefined])[] = [
  ["https://worker-1:10250", undefined],
  ["https://worker-1.example:443/", undefined],
  ["https://127.0.0.1:10250", undefined],
  ["https://[::1]:10250", undefined],
  ["HTTPS://Worker:1", undefined],
  ["https://worker-1", "has no valid port; with the usual one it is https://worker-1:10250"],
  ["http://worker-1", "with the usual one it is http://worker-1:10255"],
  ["https://worker-1:0", "has no valid port"],
  ["https://worker-1:65536", "has no valid port"],
  ["https://worker-1:", "has no valid port"],
  ["https://worker-1:10250/pods", "has more than a host and a port"],
  ["https://worker-1:10250?a=b", "has more than a host and a port"],
  ["https://me:hunter2@worker-1:10250", "contains a user or a password"],
  ["worker-1:10250", '"worker-1:10250" is not a valid kubelet URL'],
  ["https://", "is not a valid kubelet URL"],
  ["https://1.2.3:10250", "is not a valid kubelet URL"],
  ["https://[::g]:10250", "is not a valid kubelet URL"],
  ["ftp://worker-1:21", "is not a valid kubelet URL"],
];

for (const [url, said] of ADDRESSES) {
  Deno.test(`\`${url}\` as the kubelet's address is ${said === undefined ? "accepted" : "refused"}`, () => {
    const credentials = /^https:/i.test(url) ? ", tokenFile: /t" : "";
    const text = `kubelet: {url: '${url}'${credentials}}\n${REGISTRIES}`;
    if (said === undefined) assertEquals(parseConfig(text, "c.yaml").kubelet.url, url.replace(/\/$/, ""));
    else {
      const [mistake = "", ...others] = mistakesIn(text).filter((line) => !line.includes("credentials;"));
      assertEquals(others, []);
      assertStringIncludes(mistake, said);
      assert(!mistake.includes("hunter2"));
    }
  });
}

Deno.test("every accepted address is one that fetch can use", () => {
  const host = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6().map((ip) => `[${ip}]`),
    fc.stringMatching(/^[a-z0-9.-]{1,12}$/),
  );
  fc.assert(fc.property(host, fc.nat(70_000), (host, port) => {
    const url = `https://${host}:${port}`;
    const text = `kubelet: {url: '${url}', tokenFile: /t}\n${REGISTRIES}`;
    try {
      parseConfig(text, "c.yaml");
    } catch (error) {
      assert(error instanceof ConfigError);
      return;
    }
    assert(URL.canParse(url) || host.includes("xn--"), url);
  }));
});

Deno.test("kubelet credentials are a certificate with its key or a token, and have no effect with http", () => {
  const said = (kubelet: string) => mistakesIn(`kubelet: {${kubelet}}\n${REGISTRIES}`).map((line) => line.slice(10));
  const url = "url: 'https://w:1'";
  const http = "url: 'http://w:1'";
  assertEquals(said(url), ["kubelet: has no credentials; expected certFile and keyFile, or tokenFile"]);
  assertEquals(said(`${url}, caFile: /c`), [
    "kubelet: has no credentials; expected certFile and keyFile, or tokenFile",
  ]);
  assertEquals(said(`${url}, certFile: /c`), ["kubelet.certFile: needs its private key: add keyFile"]);
  assertEquals(said(`${url}, keyFile: /k, tokenFile: /t`), ["kubelet.keyFile: needs its certificate: add certFile"]);
  assertEquals(said(`${url}, certFile: /c, keyFile: /k, tokenFile: /t`), [
    "kubelet.tokenFile: conflicts with certFile and keyFile: configure a certificate or a token, not both",
  ]);
  assertEquals(said(`${http}, caFile: /c, tokenFile: /t`).map((line) => line.replace(/ over .*| with .*/, "")), [
    "kubelet.caFile: has no effect",
    "kubelet.tokenFile: has no effect",
  ]);
  assertEquals(parseConfig(`kubelet: {${http}}\n${REGISTRIES}`, "c.yaml").kubelet, { url: "http://w:1" });
});
