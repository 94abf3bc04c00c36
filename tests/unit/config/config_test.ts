// Tests lib/config/config.ts: every mistake has its place and what to write instead.

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { parse } from "@std/yaml";
import fc from "fast-check";
import { type Config, ConfigError, parseConfig } from "../../../lib/config/config.ts";
import { DEFAULTS } from "../../../lib/config/settings.ts";
import { resolveHostname } from "../../../lib/config/values.ts";
import { PROJECT } from "../../../tools/deno.ts";

const EXAMPLE = Deno.readTextFileSync(`${PROJECT}systemd/config.example.yaml`);
const EXAMPLE_FILE = "/etc/gilly/config.yaml";

const KUBELET = "kubelet: {url: 'https://w:10250', tokenFile: /t}";
const REGISTRIES = "registries: {gcr.io: m.example}";

function mistakesIn(text: string, file = "c.yaml"): string[] {
  return assertThrows(() => parseConfig(text, file), ConfigError).message.split("\n");
}

/** Returns a config with the required keys and these lines. */
function withLines(...lines: string[]): Config {
  return parseConfig([KUBELET, REGISTRIES, ...lines].join("\n"), EXAMPLE_FILE);
}

/** Returns the example with its commented-out settings enabled, of the runtimes only this one. */
function uncommented(text: string, runtime: "docker" | "containerd" = "docker"): string {
  const other = runtime === "docker" ? "containerd" : "docker";
  return text.replace(new RegExp(`^# ${other}:\n#   socket: .*\n`, "m"), "")
    .replace(/^# (?=[a-z]+:| )/gm, "").replace(/^ {2}# (?=registry\.|")/gm, "  ");
}

Deno.test("the example is valid once its certificates exist, and maps the three registries", () => {
  const config = parseConfig(EXAMPLE, EXAMPLE_FILE);
  assertEquals(config.registries.map(({ origin, mirrors }) => [origin, mirrors]), [
    ["gcr.io", ["docker.repo.eng.netapp.com"]],
    ["quay.io", ["docker.repo.eng.netapp.com"]],
    ["k8s.gcr.io", ["docker.repo.eng.netapp.com"]],
  ]);
  assertEquals(config.kubelet, {
    url: `https://${Deno.hostname().toLowerCase()}:10250`,
    caFile: "/etc/gilly/kubelet-ca.crt",
    certFile: "/etc/gilly/kubelet-client.crt",
    keyFile: "/etc/gilly/kubelet-client.key",
  });
});

Deno.test("{hostname} in kubelet.url is this host's name, in lower case, in any part of the host", () => {
  const here = Deno.hostname().toLowerCase();
  const urlOf = (url: string) =>
    parseConfig(`kubelet: {url: '${url}', tokenFile: /t}\n${REGISTRIES}`, "c.yaml").kubelet.url;
  assertEquals(urlOf("https://{hostname}:10250/"), `https://${here}:10250`);
  assertEquals(urlOf("https://{hostname}.dc1.example:10250"), `https://${here}.dc1.example:10250`);
});

Deno.test("a host name is trimmed and lowercased as the kubelet does, or undefined if no URL can contain it", () => {
  const url = "https://{hostname}:10250";
  assertEquals(resolveHostname(url, "Worker-10\n"), "https://worker-10:10250");
  assertEquals(resolveHostname(url, "worker_10"), undefined);
  assertEquals(resolveHostname(url, ""), undefined);
  assertEquals(resolveHostname(url, "{hostname}"), undefined);
});

Deno.test("an unknown placeholder is not a valid host", () => {
  const [mistake] = mistakesIn(`kubelet: {url: 'https://{node}:10250', tokenFile: /t}\n${REGISTRIES}`);
  assertMatch(
    mistake!,
    /^c\.yaml:1: kubelet\.url: "https:\/\/\{node\}:10250" is not a valid kubelet URL; expected https/,
  );
});

Deno.test("the example shows every key, and the defaults that it shows are the real ones", () => {
  const shown = uncommented(EXAMPLE);
  const { mirrors, ...config } = parseConfig(shown, EXAMPLE_FILE);
  assertEquals(mirrors, {
    "docker.repo.eng.netapp.com": {
      authFile: "/etc/gilly/docker-config.json",
      authPaths: ["**"],
      maxConcurrentPulls: 4,
    },
  });
  const { mirrors: _, registries: usual, ...asItIs } = parseConfig(EXAMPLE, EXAMPLE_FILE);
  const { registries, ...uncovered } = config;
  // More rules are more hosts to redirect.
  assertEquals({ ...uncovered, proxy: { ...uncovered.proxy, hosts: asItIs.proxy.hosts } }, asItIs);
  assertEquals(registries.map(({ origin }) => origin).slice(0, usual.length), usual.map(({ origin }) => origin));
  assertEquals(registries.length, usual.length + 3);

  const { kubelet: _kubelet, registries: _registries, mirrors: _mirrors, containerd: _containerd, ...defaults } =
    DEFAULTS;
  const document = parse(shown, { schema: "core" }) as Record<string, unknown>;
  // Keys without a default are not shown as if they had one.
  for (const [key, value] of Object.entries(JSON.parse(JSON.stringify(defaults)))) {
    assertEquals(document[key], value, key);
  }
  const withContainerd = parse(uncommented(EXAMPLE, "containerd"), { schema: "core" }) as Record<string, unknown>;
  assertEquals(withContainerd.containerd, DEFAULTS.containerd);
  assertEquals(
    new Set([...Object.keys(document), ...Object.keys(withContainerd)]),
    new Set(Object.keys(DEFAULTS)),
  );
});

Deno.test("a config names one runtime: Docker, unless it has containerd", () => {
  const runtimeOf = (...lines: string[]) => withLines(...lines).runtime;
  const docker = { kind: "docker", socket: "/var/run/docker.sock" };
  assertEquals(runtimeOf(), docker);
  assertEquals(runtimeOf("docker:"), docker);
  assertEquals(runtimeOf("docker: {socket: /run/d.sock}"), { ...docker, socket: "/run/d.sock" });
  const containerd = { kind: "containerd", socket: "/run/containerd/containerd.sock" };
  assertEquals(runtimeOf("containerd:"), containerd);
  assertEquals(runtimeOf("containerd: {}"), containerd);
  assertEquals(runtimeOf("containerd: {socket: 'unix:///run/k3s/containerd/containerd.sock'}"), {
    ...containerd,
    socket: "/run/k3s/containerd/containerd.sock",
  });
});

Deno.test("a config with only the required keys gets every default", () => {
  assertEquals(withLines(), {
    file: EXAMPLE_FILE,
    kubelet: { url: "https://w:10250", tokenFile: "/t" },
    runtime: { kind: "docker", socket: "/var/run/docker.sock" },
    registries: [{ origin: "gcr.io", mirrors: ["m.example"], line: 2 }],
    mirrors: {},
    exclude: { images: [], namespaces: [] },
    keep: [],
    repair: {
      mode: "on-failure",
      concurrency: 8,
      backoff: { initialSeconds: 10, maxSeconds: 300 },
      noProgressSeconds: 60,
      onDigestChange: "warn",
    },
    poll: { intervalSeconds: 5, safetySeconds: 60, jitter: 0.1 },
    ledger: { file: "/var/lib/gilly/ledger.jsonl", maxBytes: 10 * 2 ** 20, keep: 5 },
    proxy: {
      hosts: ["gcr.io"],
      listen: { hostname: "127.0.0.1", port: 12443 },
      address: "169.254.77.7",
      certFile: "/etc/gilly/proxy.crt",
      keyFile: "/etc/gilly/proxy.key",
      stallSeconds: 30,
      headersSeconds: 5,
      ledgerFile: "/var/lib/gilly-proxy/ledger.jsonl",
    },
    metrics: {},
    logging: { level: "info", format: "text" },
  });
});

Deno.test("a key without a value means its default", () => {
  const empty = ["exclude:", "keep:", "docker: {socket: }", "poll:\n  interval:", "repair: {backoff: }", "mirrors:"];
  assertEquals(withLines(...empty), withLines());
  assertEquals(withLines("mirrors: {m.example: }").mirrors, { "m.example": {} });
});

Deno.test("every value that is set takes effect", () => {
  const config = withLines(
    "repair: {concurrency: 2, backoff: {initial: 500ms, max: 1h}, noProgress: 90, onDigestChange: refuse}",
    "poll: {interval: 1.5s, jitter: 0}",
    "docker: {socket: unix:///run/docker.sock}",
    "exclude: {images: [quay.io/team/*], namespaces: [kube-system, team-*, 2020-01-01]}",
    "keep: ['k8s.gcr.io/pause:3.2']",
    "mirrors: {M.example: {maxConcurrentPulls: 1}}",
    "metrics: {listen: 10.0.0.5:9464, textfile: /var/lib/node_exporter/gilly.prom}",
    "logging: {level: debug, format: json}",
  );
  assertEquals(config.repair, {
    mode: "on-failure",
    concurrency: 2,
    backoff: { initialSeconds: 0.5, maxSeconds: 3600 },
    noProgressSeconds: 90,
    onDigestChange: "refuse",
  });
  assertEquals(config.poll, { intervalSeconds: 1.5, safetySeconds: 60, jitter: 0 });
  assertEquals(config.runtime, { kind: "docker", socket: "/run/docker.sock" });
  assertEquals(config.exclude, { images: ["quay.io/team/*"], namespaces: ["kube-system", "team-*", "2020-01-01"] });
  assertEquals(config.keep, ["k8s.gcr.io/pause:3.2"]);
  assertEquals(config.mirrors, { "m.example": { maxConcurrentPulls: 1 } });
  assertEquals(config.metrics, {
    listen: { hostname: "10.0.0.5", port: 9464 },
    textfile: "/var/lib/node_exporter/gilly.prom",
  });
  assertEquals(config.logging, { level: "debug", format: "json" });
});

Deno.test("relative paths are resolved against the folder of the config file", () => {
  const text = [
    "kubelet: {url: 'https://w:10250/', caFile: ./ca.crt, certFile: pki/c.crt, keyFile: ../c.key}",
    REGISTRIES,
    "mirrors: {m.example: {authFile: auth.json}}",
    "ledger: {file: ../../srv/ledger.jsonl}",
  ].join("\n");
  const { kubelet, mirrors, ledger } = parseConfig(text, "/etc/gilly/config.yaml");
  assertEquals(kubelet, {
    url: "https://w:10250",
    caFile: "/etc/gilly/ca.crt",
    certFile: "/etc/gilly/pki/c.crt",
    keyFile: "/etc/gilly/../c.key",
  });
  assertEquals(mirrors["m.example"]?.authFile, "/etc/gilly/auth.json");
  assertEquals(ledger.file, "/etc/gilly/../../srv/ledger.jsonl");
  assertEquals(parseConfig(text, "config.yaml").kubelet.caFile, "ca.crt");
});

Deno.test("an output file in a system folder is a mistake at its line", () => {
  const expected =
    "where Gilly never writes; expected a path outside the system's folders, such as one in /var/lib/gilly";
  const text = `${KUBELET}\n${REGISTRIES}\nledger: {file: ledger.jsonl}\nmetrics: {textfile: /var/../bin/g.prom}\n`;
  assertEquals(mistakesIn(text, EXAMPLE_FILE), [
    `${EXAMPLE_FILE}:3: ledger.file: /etc/gilly/ledger.jsonl is in /etc, ${expected}`,
    `${EXAMPLE_FILE}:4: metrics.textfile: /var/../bin/g.prom is in /bin, ${expected}`,
  ]);
});

Deno.test("every mistake in a config is listed at once, with its line, its key and what was expected", () => {
  const mistakes = mistakesIn(`# a worker
kubelet:
  url: https://worker-1
  keyFile: /k
registries:
  gcr.io: https://m.example
  quay.io: [m.example, 5]
  "a b": m.example
mirrors:
  mm.example: {}
repair:
  concurrency: four
  backoff: {initial: 10m, max: 5m}
polling: 5
keep:
  - 1.10
`);
  const starts = [
    'c.yaml:3: kubelet.url: "https://worker-1" has no valid port',
    "c.yaml:4: kubelet.keyFile: needs its certificate",
    'c.yaml:6: registries."gcr.io": "https://m.example" is not a valid mirror: ',
    'c.yaml:7: registries."quay.io"[1]: expected a mirror such as mirror.example/path, got the number 5',
    'c.yaml:8: registries."a b": is not a valid origin: ',
    'c.yaml:10: mirrors."mm.example": is not a mirror of any rule in registries; did you mean m.example?',
    'c.yaml:12: repair.concurrency: expected a whole number from 1 to 64, got "four"',
    "c.yaml:13: repair.backoff.max: 5m is shorter than initial, which is 10m",
    "c.yaml:14: polling: unknown key; expected one of kubelet, ",
    "c.yaml:16: keep[0]: expected an image reference, got the number 1.1; put it in quotes",
  ];
  assertEquals(mistakes.map((mistake, index) => mistake.slice(0, starts[index]?.length)), starts);
});

Deno.test("a mistake has its file, line and key separate from its message", () => {
  const error = assertThrows(
    () => parseConfig(`${KUBELET}\n${REGISTRIES}\nlogging: {level: loud}`, "c.yaml"),
    ConfigError,
  );
  assertEquals(error.mistakes, [{
    file: "c.yaml",
    line: 3,
    key: "logging.level",
    message: 'expected debug, info, warning or error, got "loud"',
  }]);
});

const NOTHING = "expected a mapping of keys to values, such as registries: and kubelet:";

/** Complete files, and their mistakes. */
const FILES: readonly (readonly [name: string, text: string, mistakes: readonly string[]])[] = [
  ["an empty file", "", [`c.yaml: holds no settings; ${NOTHING}`]],
  ["a file of comments", "# nothing\n", [`c.yaml: holds no settings; ${NOTHING}`]],
  ["a list", "- gcr.io\n", [`c.yaml: is a list; ${NOTHING}`]],
  ["a single value", "5\n", [`c.yaml: is a single value; ${NOTHING}`]],
  ["an empty mapping", "{}", [
    "c.yaml: kubelet.url: is missing; expected https://HOST:PORT, the kubelet of this host",
    "c.yaml: registries: is missing; expected at least one origin and its mirror, such as gcr.io: mirror.example",
  ]],
  ["a key twice", "keep: []\nkeep: []", ["c.yaml:2: keep: duplicate key; keep one of them"]],
  ["a key twice in braces", "x: {a: 1, b: {a: 2}, a: 3}", ["c.yaml:1: duplicate key; keep one of them"]],
  ["tabs", "kubelet:\n\turl: x", ["c.yaml:2: is indented with a tab; expected spaces"]],
  ["bare stars", "registries:\n  *.pkg.dev: m.example", [
    'c.yaml:2: a name or value that begins with * must be in quotes, as in "*.pkg.dev"',
  ]],
  ["an unclosed bracket", "keep: [a,\n", [
    "c.yaml:2: is not valid YAML (column 1): cannot read flow collection: unexpected end of the stream within a flow collection",
  ]],
  ["endless nesting", "keep: " + "[".repeat(50_000), ["c.yaml: is nested too deeply to be read"]],
];

for (const [name, text, mistakes] of FILES) {
  Deno.test(`${name} as the config is refused in plain words`, () => assertEquals(mistakesIn(text), mistakes));
}

Deno.test("a secret in the config never reaches an error", () => {
  const key = "-----BEGIN PRIVATE KEY-----\\nhunter2\\n-----END PRIVATE KEY-----";
  const token = "eyJhbGciOiJodW50ZXIy.eyJodW50ZXIyIjoxfQ.hunter2";
  const texts = [
    `kubelet: {url: 'https://me:hunter2@w:1', keyFile: "${key}", tokenFile: ${token}, token: hunter2, password: hunter2}`,
    "registries: {gcr.io: 'https://me:hunter2@m.example', 'me:hunter2@x.io': m.example, quay.io: ['me:hunter2@m.example']}",
    `mirrors: {m.example: 'me:hunter2', 'https://me:hunter2@m': {auth: hunter2}}\nexclude: hunter2\ndocker: hunter2`,
    `keep: ['me:hunter2@m.example/x', 'https://me:hunter2@m.example/x']\npassword: !hunter2 x`,
    `keep: ['https://me:hunter2@m.example/x', '${token}', "${key}"]\nledger: {file: "${key}"}`,
    "registries: {gcr.io: 'https://hunter2@m.example', 'https://hunter2@x.io': m.example}",
    `registries: {gcr.io: "https://me:p@s'hunter2@m.example"}`,
    "password: *hunter2",
    "password: 'hunter2\nx: y",
    "password: hunter2: x",
  ];
  for (const text of texts) {
    const error = assertThrows(() => parseConfig(text, "c.yaml"), ConfigError);
    const everything = `${error.message} ${JSON.stringify(error.mistakes)} ${error.stack} ${Deno.inspect(error.cause)}`;
    assert(!everything.includes("hunter2"), everything);
  }
});

function isConfigOrConfigError(text: string): void {
  try {
    assert(parseConfig(text, "c.yaml").registries.length > 0);
  } catch (error) {
    assert(error instanceof ConfigError, Deno.inspect(error));
    assert(error.mistakes.length > 0);
    const last = text.split(/\r\n?|\n/).length;
    for (const { line, message } of error.mistakes) {
      assert(message !== "" && !message.includes("Invalid input"), message);
      assert(line === undefined || (line >= 1 && line <= last), `line ${line} of ${last}`);
    }
    assertEquals(error.message.split("\n").length, error.mistakes.length, "a mistake takes more than one line");
  }
}

Deno.test("any text is a config or a ConfigError", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 60 }), isConfigOrConfigError), { numRuns: 500 });
});

Deno.test("any values under the known keys are a config or a ConfigError", () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom("", "5s", "m.example", "https://w:1", "/x", "__proto__", "constructor", "*"),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.string({ maxLength: 8 }),
      fc.array(tie("any"), { maxLength: 3 }),
      fc.dictionary(
        fc.constantFrom("m.example", "authFile", "url", "backoff", "max", "images", "__proto__"),
        tie("any"),
      ),
    ),
  })).any;
  const document = fc.dictionary(fc.constantFrom(...Object.keys(DEFAULTS), "toString"), value, { maxKeys: 11 });
  fc.assert(fc.property(document, (data) => isConfigOrConfigError(JSON.stringify(data))), { numRuns: 1000 });
});

Deno.test("the example with a few characters or lines changed is a config or a ConfigError", () => {
  const original = uncommented(EXAMPLE);
  const lines = original.split("\n");
  const edit = fc.record({
    at: fc.nat(original.length),
    cut: fc.nat(6),
    put: fc.oneof(
      fc.constantFrom("", ":", "\n", "- ", "  ", "\t", "#", "{", "]", '"', "*", "&a ", "null", "é"),
      fc.string(),
    ),
  });
  fc.assert(fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
    isConfigOrConfigError(
      edits.reduce((text, { at, cut, put }) => text.slice(0, at) + put + text.slice(at + cut), original),
    );
  }));
  fc.assert(fc.property(fc.nat(lines.length - 1), fc.nat(lines.length - 1), (from, to) => {
    isConfigOrConfigError(lines.toSpliced(to, 0, ...lines.slice(from, from + 1)).join("\n"));
    isConfigOrConfigError(lines.toSpliced(from, 1).join("\n"));
  }));
});

Deno.test("an overlong word is shortened in the error and parsed quickly", () => {
  const started = performance.now();
  for (const word of ["x", "x@", "//", "eyJ-", "a:"].map((piece) => piece.repeat(100_000))) {
    const error = assertThrows(() => parseConfig(`"${word}": 1\n`, "config.yaml"), ConfigError);
    assert(error.message.length < 1000, error.message.slice(0, 2000));
  }
  assert(performance.now() - started < 3000);
});
