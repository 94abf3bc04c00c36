import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parse } from "@std/yaml";
import { type Format, FORMATS } from "../../../lib/export/formats.ts";
import type { Exported, ExportInput } from "../../../lib/export/model.ts";
import { writeFiles } from "../../../lib/export/write.ts";
import type { RegistryRule } from "../../../lib/images/rules.ts";
import { PROJECT } from "../../../tools/deno.ts";
import { filesUnder } from "../../support/folder.ts";
import { isRenewingGolden } from "../../support/golden.ts";

const GOLDEN = `${PROJECT}tests/testdata/golden/export`;

/** Returns the rules of a config that begins with them, each with its line. */
function rulesOf(registries: Record<string, string | readonly string[]>): RegistryRule[] {
  return Object.entries(registries).map(([origin, mirrors], index) => ({
    origin,
    mirrors: typeof mirrors === "string" ? [mirrors] : mirrors,
    line: index + 2,
  }));
}

function inputOf(registries: Record<string, string | readonly string[]>, rest: Partial<ExportInput> = {}): ExportInput {
  const common = { source: "/etc/gilly/config.yaml", withCredentials: [], excluded: [], authorities: {} };
  return { rules: rulesOf(registries), ...common, ...rest };
}

/** Every kind of rule, and every way in which two of them interact. */
const EVERYTHING = inputOf({
  "gcr.io": "mirror.example",
  "quay.io": ["mirror.example", "mirror-2.example:5000/quay"],
  "k8s.gcr.io": "mirror.example/google_containers",
  "gcr.io/google-containers": "mirror.example/google_containers",
  "gcr.io/team": "mirror.example/team",
  "registry.k8s.io": "harbor.example/proxy/{registry}",
  "*.pkg.dev": "harbor.example/proxy/{registry}",
  "*.azurecr.io": "harbor.example/azure",
  "ghcr.io": ["quay.io/ghcr", "mirror.example/ghcr"],
  "mirror.example": "harbor.example",
  "*": "mirror.example",
}, {
  withCredentials: ["harbor.example"],
  excluded: ["gcr.io/internal/**"],
  authorities: { "harbor.example": ["/etc/docker/certs.d/harbor.example/ca.crt"] },
});

/** Compares everything that an export returns, as a tree of files, with the golden tree. */
async function assertGolden(format: Format, { files, ...rest }: Exported): Promise<void> {
  const actual = new Map(files.map(({ path, content }) => [path, content]));
  actual.set("/said.json", `${JSON.stringify(rest, null, 2)}\n`);
  const root = `${GOLDEN}/${format}`;
  if (isRenewingGolden()) {
    await Deno.remove(root, { recursive: true }).catch(() => {});
    await writeFiles([...actual].map(([path, content]) => ({ path, content })), root, { force: true });
  }
  assertEquals(Object.fromEntries(actual), Object.fromEntries(await filesUnder(root)));
}

for (const [format, make] of Object.entries(FORMATS)) {
  Deno.test(`${format}: every kind of rule produces the golden files`, async () => {
    await assertGolden(format as Format, make(EVERYTHING));
  });

  Deno.test(`${format}: no line is wider than 80 columns`, () => {
    const lines = make(EVERYTHING).files.flatMap(({ content }) => content.split("\n"));
    assertEquals(lines.filter((line) => line.length > 80), []);
  });

  Deno.test(`${format}: without a rule there is no file`, () => {
    assertEquals(make(inputOf({})).files, []);
  });

  Deno.test(`${format}: every rule is in a file, reported as left out, or implied by another`, () => {
    const { files, leftOut } = make(EVERYTHING);
    const held = files.map(({ path, content }) => `${path}\n${content.replaceAll(/^#.*$/gm, "")}`).join("\n");
    const names: Record<string, string> = { "*": format === "k3s" ? '"*":' : "/_default/" };
    const missing = EVERYTHING.rules.map(({ origin }) => origin).filter((origin) =>
      !leftOut.some((rule) => rule.origin === origin) && !held.includes(names[origin] ?? origin)
    );
    // gcr.io/google-containers is a path in a rewrite; the gcr.io rule covers gcr.io/team.
    const without = { containerd: ["gcr.io/team"], docker: ["gcr.io/team"], "registries.conf": [] };
    assertEquals(missing, { k3s: ["gcr.io/google-containers", "gcr.io/team"], ...without }[format as Format]);
  });
}

/** Returns the URLs of a hosts.toml in order: the server, which is the fallback, and the hosts. */
function urlsIn(content: string): string[] {
  return [...content.matchAll(/^(?:server = |\[host\.)"([^"]+)"/gm)].map(([, url = ""]) => url);
}

Deno.test("containerd: two names for one mirror become one table, since TOML refuses duplicates", () => {
  const { files } = FORMATS.containerd(
    inputOf({ "gcr.io": ["m.example/gcr.io", "m.example/{registry}", "M.example"] }),
  );
  assertEquals(files.map(({ content }) => urlsIn(content)), [
    ["https://gcr.io", "https://m.example/v2/gcr.io", "https://m.example"],
  ]);
});

Deno.test("containerd: Docker Hub is docker.io as an origin and registry-1.docker.io as a host", () => {
  const { files } = FORMATS.containerd(inputOf({ "index.docker.io": "m.example", "gcr.io": "docker.io/gcr" }));
  assertEquals(files.map(({ path, content }) => [path, urlsIn(content)]), [
    ["/etc/containerd/certs.d/docker.io/hosts.toml", ["https://registry-1.docker.io", "https://m.example"]],
    ["/etc/containerd/certs.d/gcr.io/hosts.toml", ["https://gcr.io", "https://registry-1.docker.io/v2/gcr"]],
  ]);
});

Deno.test("containerd: _default names no server, since that would be the fallback of every registry", () => {
  const [file] = FORMATS.containerd(inputOf({ "*": ["m.example/all"] })).files;
  assertEquals(file?.path, "/etc/containerd/certs.d/_default/hosts.toml");
  assertEquals(urlsIn(file?.content ?? ""), ["https://m.example/v2/all"]);
});

const GUARDED: readonly (readonly [string, Record<string, string | string[]>, string[]])[] = [
  ["a mirror that * uses under the same name", { "*": "m.example" }, []],
  ["a mirror that * uses under another name", { "*": "m.example/all" }, ["m.example"]],
  ["the second of two mirrors", { "*": ["m.example", "n.example"] }, ["m.example", "n.example"]],
  ["a mirror of another rule", { "*": "m.example", "gcr.io": "n.example/gcr" }, ["n.example"]],
  ["a mirror without a *", { "gcr.io": "n.example/gcr" }, []],
  ["a mirror with a rule of its own", { "*": "m.example", "gcr.io": "n.example/gcr", "n.example": "m.example" }, []],
];

for (const [name, registries, guarded] of GUARDED) {
  Deno.test(`containerd: ${name} ${guarded.length === 0 ? "needs no file" : "is protected from _default by a file"}`, () => {
    const { files } = FORMATS.containerd(inputOf(registries));
    const guards = files.filter(({ content }) => content.includes("push"));
    assertEquals(guards.map(({ path }) => path.split("/").at(-2)), guarded);
    for (const { content } of guards) assertEquals(new Set(urlsIn(content)).size, 1);
  });
}

Deno.test("docker: registry-mirrors is suggested for mirrors of Docker Hub only", () => {
  const said = (registries: Record<string, string | string[]>) => FORMATS.docker(inputOf(registries)).next.at(-1)!;
  assertStringIncludes(
    said({ "docker.io": ["m.example", "n.example/x"] }),
    '"registry-mirrors": ["https://m.example"]',
  );
  assertMatch(said({ "gcr.io": "m.example" }), /mirrors of docker\.io only$/);
});

Deno.test("registries.conf: a mirror's path is protected from entries that would redirect it", () => {
  const { files } = FORMATS["registries.conf"](inputOf({
    "k8s.gcr.io": "quay.io/k8s",
    "quay.io": "m.example",
    "*.pkg.dev": "eu.pkg.dev/m",
    "eu.pkg.dev/x": "m.example",
  }));
  const entries = [...files[0]!.content.matchAll(/^prefix = "(.*)"\n(location.*)?/gm)].map(([, prefix]) => prefix);
  assertEquals(entries, ["k8s.gcr.io", "quay.io", "*.pkg.dev", "eu.pkg.dev/x", "quay.io/k8s", "eu.pkg.dev"]);
});

Deno.test("registries.conf: a wildcard with a port, a path or {registry} is left out, and so is *", () => {
  const { files, leftOut } = FORMATS["registries.conf"](inputOf({
    "*.a.example:5000": "m.example",
    "*.b.example/x": "m.example",
    "*.c.example": "m.example/{registry}",
    "*.d.example": "m.example",
    "*": "m.example",
  }));
  assertEquals(leftOut.map(({ origin }) => origin), ["*.a.example:5000", "*.b.example/x", "*.c.example", "*"]);
  assertStringIncludes(files[0]!.content, 'prefix = "*.d.example"\n\n[[registry.mirror]]\nlocation = "m.example"');
});

/**
 * Reads registries.yaml; asserts that it has the documented structure (docs.k3s.io;
 * rancher/wharfie, registries.go), and nothing else.
 */
function readK3s(content: string): Record<string, { endpoint: string[]; rewrite?: Record<string, string> }> {
  const { mirrors, ...rest } = parse(content) as Record<string, Record<string, Record<string, unknown>>>;
  for (const [host, { endpoint, rewrite = {}, ...more }] of Object.entries(mirrors ?? {})) {
    assertEquals([host, more], [host, {}]);
    for (const url of endpoint as string[]) assertMatch(url, /^https:\/\/[^/]+(\/v2\/.+)?$/);
    for (const [from, to] of Object.entries(rewrite as object)) {
      assertEquals([typeof to, !!RegExp(from)], ["string", true]);
    }
  }
  const { configs = {}, ...others } = rest;
  assertEquals(others, {});
  for (const config of Object.values(configs)) {
    assertEquals(Object.keys(config), ["tls"]);
    assertEquals(Object.keys(config.tls as object), ["ca_file"]);
  }
  return mirrors as ReturnType<typeof readK3s>;
}

/**
 * Returns the repositories that k3s may request from the mirrors: it applies the first rewrite that
 * changes the name, in any order.
 */
function rewrittenBy(rewrites: Record<string, string>, repository: string): string[] {
  const names = Object.entries(rewrites).map(([from, to]) => repository.replace(RegExp(from), to))
    .filter((name) => name !== repository);
  return names.length === 0 ? [repository] : names;
}

Deno.test("k3s: the file is YAML with the documented structure and unambiguous rewrites", () => {
  const mirrors = readK3s(FORMATS.k3s(EVERYTHING).files[0]!.content);
  assertEquals(Object.keys(mirrors), ["gcr.io", "quay.io", "k8s.gcr.io", "registry.k8s.io", "ghcr.io", "*"]);
  const asked = (host: string, repository: string) => rewrittenBy(mirrors[host]?.rewrite ?? {}, repository);
  assertEquals(asked("gcr.io", "google-containers/pause"), ["google_containers/pause"]);
  assertEquals(asked("gcr.io", "google-containers-extra/pause"), ["google-containers-extra/pause"]);
  assertEquals(asked("gcr.io", "team/app"), ["team/app"]);
  assertEquals(asked("k8s.gcr.io", "coredns/coredns"), ["google_containers/coredns/coredns"]);
  assertEquals(asked("quay.io", "a/b"), ["a/b"]);
  assertEquals(mirrors["quay.io"]?.endpoint, ["https://mirror.example", "https://mirror-2.example:5000/v2/quay"]);
});

const REWRITES: readonly (readonly [string, Record<string, string | string[]>, string[]])[] = [
  ["a path on the mirrors of its host", { "gcr.io": "m.example", "gcr.io/a": "m.example/b" }, []],
  ["a path on another mirror", { "gcr.io": "m.example", "gcr.io/a": "n.example/b" }, ["gcr.io/a"]],
  ["a path whose host has no rule", { "gcr.io/a": "m.example/b", "quay.io": "m.example" }, ["gcr.io/a"]],
  ["a path of a host that is rewritten", { "gcr.io": "m.example/c", "gcr.io/a": "m.example/b" }, ["gcr.io/a"]],
  [
    "one path inside another",
    { "gcr.io": "m.example", "gcr.io/a": "m.example/b", "gcr.io/a/c": "m.example/d" },
    ["gcr.io/a", "gcr.io/a/c"],
  ],
  ["a path that is dropped", { "gcr.io": "m.example", "gcr.io/a.b": "m.example" }, []],
];

for (const [name, registries, left] of REWRITES) {
  Deno.test(`k3s: ${name} is ${left.length === 0 ? "a rewrite" : "left out"}`, () => {
    const { files, leftOut } = FORMATS.k3s(inputOf(registries));
    assertEquals(leftOut.map(({ origin }) => origin), left);
    const { rewrite = {} } = readK3s(files[0]!.content)["gcr.io"] ?? { endpoint: [] };
    if (name === "a path that is dropped") {
      assertEquals([rewrittenBy(rewrite, "a.b/c"), rewrittenBy(rewrite, "aXb/c")], [["c"], ["aXb/c"]]);
    }
  });
}

const VIA_PROXY = { address: "127.0.0.1:12443", certFile: "/etc/gilly/proxy.crt" };

for (const format of ["containerd", "docker"] as const) {
  Deno.test(`${format}: through the proxy every registry of the rules has a file, and wildcards _default`, () => {
    const { files, leftOut, notes } = FORMATS[format]({ ...EVERYTHING, viaProxy: VIA_PROXY });
    assertEquals(
      files.map(({ path }) => path.split("/").at(-2)),
      ["gcr.io", "quay.io", "k8s.gcr.io", "registry.k8s.io", "_default", "ghcr.io"],
    );
    assertEquals(leftOut.map(({ origin }) => origin), ["mirror.example"]);
    assertEquals(notes, []);
    const wide = files.flatMap(({ content }) => content.split("\n")).filter((line) => line.length > 80);
    assertEquals(wide, []);
    const [gcr] = files;
    assertStringIncludes(gcr!.content, 'server = "https://gcr.io"\n\n[host."https://127.0.0.1:12443"]\n');
    assertStringIncludes(gcr!.content, '  ca = "/etc/gilly/proxy.crt"\n');
    const fallback = files.find(({ path }) => path.includes("/_default/"))!;
    assert(!fallback.content.includes("server ="), fallback.content);
  });

  Deno.test(`${format}: through the proxy, no rule is no file`, () => {
    const { files, next } = FORMATS[format]({ ...inputOf({}), viaProxy: VIA_PROXY });
    assertEquals([files, next], [[], []]);
  });
}
