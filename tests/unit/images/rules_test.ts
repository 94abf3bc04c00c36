// Tests lib/images/rules.ts: which rule matches an image, and which candidates it yields.

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import { formatReference, parseReference, repositoryOf } from "../../../lib/images/reference.ts";
import { compileRules, matchRule, mistakeInMirror, mistakeInOrigin } from "../../../lib/images/rules.ts";

type Rules = Readonly<Record<string, string | readonly string[]>>;

const SHA256 = "sha256:" + "f".repeat(64);
const M = "docker.repo.eng.netapp.com";

/** The configuration that the documentation shows. */
const EXAMPLE: Rules = {
  "gcr.io": M,
  "quay.io": [M, "mirror-2.example:5000/quay"],
  "k8s.gcr.io": `${M}/google_containers`,
  "gcr.io/google-containers": `${M}/google_containers`,
  "*.pkg.dev": "harbor.example/proxy/{registry}",
  "*": M,
};

function match(rules: Rules, image: string) {
  const list = Object.entries(rules).map(([origin, mirrors]) => ({ origin, mirrors: [mirrors].flat() }));
  return matchRule(compileRules(list), parseReference(image));
}

/** Returns the references to try, or why there are none. */
function tries(rules: Rules, image: string): readonly string[] | string {
  const found = match(rules, image);
  return found.rule === undefined ? found.because : found.candidates.map((candidate) => candidate.reference);
}

Deno.test("the documented configuration rewrites as its comments say", () => {
  const table: readonly (readonly [string, readonly string[] | string])[] = [
    ["gcr.io/a/b:1", [`${M}/a/b:1`]],
    ["gcr.io/sgryczan/ansible-runner:0.0.0", [`${M}/sgryczan/ansible-runner:0.0.0`]],
    ["gcr.io/pause:3", [`${M}/pause:3`]],
    ["gcr.io/a/b/c:1", [`${M}/a/b/c:1`]],
    ["gcr.io/google-containers/pause:3.2", [`${M}/google_containers/pause:3.2`]],
    ["gcr.io/google-containers-2/pause:3.2", [`${M}/google-containers-2/pause:3.2`]],
    ["gcr.io/google-containers:1", [`${M}/google-containers:1`]],
    ["k8s.gcr.io/pause:3.2", [`${M}/google_containers/pause:3.2`]],
    ["k8s.gcr.io/coredns/coredns:v1.8.0", [`${M}/google_containers/coredns/coredns:v1.8.0`]],
    ["quay.io/coreos/etcd:v3.4", [`${M}/coreos/etcd:v3.4`, "mirror-2.example:5000/quay/coreos/etcd:v3.4"]],
    ["us-docker.pkg.dev/p/r/i:1", ["harbor.example/proxy/us-docker.pkg.dev/p/r/i:1"]],
    ["a.b.pkg.dev/i:1", ["harbor.example/proxy/a.b.pkg.dev/i:1"]],
    ["pkg.dev/i:1", [`${M}/i:1`]],
    ["nginx:1.25", [`${M}/library/nginx:1.25`]],
    ["bitnami/redis", [`${M}/bitnami/redis:latest`]],
    ["registry.k8s.io/pause:3.9", [`${M}/pause:3.9`]],
    [`${M}/pause:3`, "is-mirror"],
    ["mirror-2.example:5000/other/x:1", "is-mirror"],
    ["harbor.example/x:1", "is-mirror"],
  ];
  for (const [image, expected] of table) assertEquals(tries(EXAMPLE, image), expected, image);
});

Deno.test("without a matching rule there are no candidates", () => {
  assertEquals(match({}, "gcr.io/a:1"), { rule: undefined, because: "no-rule" });
  assertEquals(tries({ "gcr.io": M }, "eu.gcr.io/a:1"), "no-rule");
  assertEquals(tries({ "gcr.io": M }, "gcr.io:5000/a:1"), "no-rule");
  assertEquals(tries({ "gcr.io/a": M }, "gcr.io/b/c:1"), "no-rule");
});

Deno.test("a candidate names its mirror, its repository and its reference", () => {
  const rules = { "gcr.io": "Mirror.Example:5000/p/q" };
  assertEquals(match(rules, "gcr.io/a:1"), {
    rule: { origin: "gcr.io", mirrors: ["Mirror.Example:5000/p/q"] },
    candidates: [{
      mirror: "mirror.example:5000",
      location: "mirror.example:5000/p/q",
      repository: "mirror.example:5000/p/q/a",
      reference: "mirror.example:5000/p/q/a:1",
    }],
  });
});

Deno.test("a candidate's location is the mirror of the rule, for each registry its own", () => {
  const locations = (rules: Record<string, string | string[]>, image: string) => {
    const found = match(rules, image);
    return found.rule === undefined ? [] : found.candidates.map(({ location }) => location);
  };
  assertEquals(locations({ "gcr.io": [M, `${M}/p/q`] }, "gcr.io/a/b:1"), [M, `${M}/p/q`]);
  assertEquals(locations({ "gcr.io/a": `${M}/p` }, "gcr.io/a/b/c:1"), [`${M}/p`]);
  assertEquals(locations({ "*": `${M}/p/{registry}` }, "eu.gcr.io:5000/a/b:1"), [`${M}/p/eu.gcr.io`]);
});

Deno.test("a digest takes precedence over a tag", () => {
  assertEquals(tries({ "gcr.io": M }, `gcr.io/a@${SHA256}`), [`${M}/a@${SHA256}`]);
  assertEquals(tries({ "gcr.io": M }, `gcr.io/a:1@${SHA256}`), [`${M}/a@${SHA256}`]);
});

Deno.test("a prefix matches complete path elements, and something must follow it", () => {
  const rules = { "gcr.io/google": "a.example", "gcr.io/google/deep/er": "b.example" };
  assertEquals(tries(rules, "gcr.io/google/x:1"), ["a.example/x:1"]);
  assertEquals(tries(rules, "gcr.io/google/deep/x:1"), ["a.example/deep/x:1"]);
  assertEquals(tries(rules, "gcr.io/google/deep/er/x:1"), ["b.example/x:1"]);
  assertEquals(tries(rules, "gcr.io/google/deep/er:1"), ["a.example/deep/er:1"]);
  assertEquals(tries(rules, "gcr.io/google-containers/x:1"), "no-rule");
  assertEquals(tries(rules, "gcr.io/google:1"), "no-rule");
});

Deno.test("the order of the rules in the file does not matter", () => {
  const entries = Object.entries(EXAMPLE);
  const images = ["gcr.io/google-containers/pause:1", "k8s.gcr.io/pause:1", "x.pkg.dev/a:1", "nginx", "quay.io/a/b"];
  fc.assert(fc.property(fc.shuffledSubarray(entries, { minLength: entries.length }), (shuffled) => {
    for (const image of images) {
      assertEquals(tries(Object.fromEntries(shuffled), image), tries(EXAMPLE, image), image);
    }
  }));
});

Deno.test("an exact host beats a wildcard, a longer wildcard beats a shorter one, and * comes last", () => {
  const rules = {
    "*": "every.example",
    "*.dev/deep/path": "deep.example",
    "*.dev": "dev.example",
    "*.pkg.dev": "pkg.example",
    "us.pkg.dev": "exact.example",
  };
  assertEquals(tries(rules, "us.pkg.dev/deep/path/x:1"), ["exact.example/deep/path/x:1"]);
  assertEquals(tries(rules, "eu.pkg.dev/deep/path/x:1"), ["pkg.example/deep/path/x:1"]);
  assertEquals(tries(rules, "pkg.dev/deep/path/x:1"), ["deep.example/x:1"]);
  assertEquals(tries(rules, "pkg.dev/x:1"), ["dev.example/x:1"]);
  assertEquals(tries(rules, "eu.pkg.dev:443/x:1"), ["every.example/x:1"]);
  assertEquals(tries(rules, "notpkg.de/x:1"), ["every.example/x:1"]);
});

Deno.test("a rule that leaves no path yields to a less specific rule", () => {
  assertEquals(tries({ "gcr.io/a": "a.example", "*": "every.example" }, "gcr.io/a:1"), ["every.example/a:1"]);
});

Deno.test("hosts compare case-insensitively, and index.docker.io is docker.io", () => {
  assertEquals(tries({ "GCR.io": M }, "gcr.IO/a:1"), [`${M}/a:1`]);
  assertEquals(tries({ "index.docker.io": M }, "nginx:1"), [`${M}/library/nginx:1`]);
  assertEquals(tries({ "docker.io": M }, "index.docker.io/nginx:1"), [`${M}/library/nginx:1`]);
  assertEquals(tries({ "docker.io/library": `${M}/official` }, "nginx:1"), [`${M}/official/nginx:1`]);
  assertEquals(tries({ "*": "Mirror.example" }, "mirror.EXAMPLE/x:1"), "is-mirror");
});

Deno.test("of two rules for one origin, the first applies", () => {
  assertEquals(tries({ "docker.io": "a.example", "index.docker.io": "b.example" }, "nginx:1"), [
    "a.example/library/nginx:1",
  ]);
});

Deno.test("{registry} is the image's host without its port, in lower case", () => {
  const rules = { "*": "m.example/{registry}/{registry}-proxy" };
  assertEquals(tries(rules, "Quay.IO:5000/a:1"), ["m.example/quay.io/quay.io-proxy/a:1"]);
  assertEquals(tries(rules, "nginx:1"), ["m.example/docker.io/docker.io-proxy/library/nginx:1"]);
});

Deno.test("a candidate that is not a valid reference is left out", () => {
  const long = "x".repeat(250);
  assertEquals(tries({ "gcr.io": ["a.example/prefix", "b.example"] }, `gcr.io/${long}:1`), [`b.example/${long}:1`]);
  assertEquals(tries({ "*": "m.example/{registry}" }, "[::1]:5000/a:1"), []);
  assertEquals(tries({ "*": ["m.example/{registry}", "m.example/all"] }, "foo_bar.com/x:1"), [
    "m.example/all/foo_bar.com/x:1",
  ]);
});

Deno.test("equal candidates appear once, in the position of the first", () => {
  assertEquals(tries({ "quay.io": ["b.example", "a.example", "B.example", "b.example/{registry}"] }, "quay.io/x:1"), [
    "b.example/x:1",
    "a.example/x:1",
    "b.example/quay.io/x:1",
  ]);
});

Deno.test("a mirror is never rewritten, even if a rule names it as an origin", () => {
  const chain = { "a.example": "b.example", "b.example": "c.example" };
  assertEquals(tries(chain, "a.example/x:1"), ["b.example/x:1"]);
  assertEquals(match(chain, "b.example/x:1"), {
    rule: undefined,
    because: "is-mirror",
    mirrorOf: { origin: "a.example", mirrors: ["b.example"] },
  });
  assertEquals(tries({ "a.example": "a.example" }, "a.example/x:1"), "is-mirror");
});

Deno.test("a wildcard skips a mirror's entire host, and a rule that names the host skips only the mirror's path", () => {
  const rules = { "k8s.gcr.io": "quay.io/k8s", "quay.io": "m.example", "*": "every.example/all" };
  assertEquals(tries(rules, "quay.io/k8s/pause:1"), "is-mirror");
  assertEquals(tries(rules, "quay.io/k8s-other/pause:1"), ["m.example/k8s-other/pause:1"]);
  assertEquals(tries(rules, "every.example/elsewhere/x:1"), "is-mirror");
  assertEquals(tries({ "*.example": "m.example/p" }, "m.example/q:1"), "is-mirror");
  assertEquals(
    tries({ "quay.io": "m.example/a/{registry}/b", "m.example": "n.example" }, "m.example/a/x:1"),
    "is-mirror",
  );
  assertEquals(tries({ "quay.io": "m.example/a/{registry}/b", "m.example": "n.example" }, "m.example/c:1"), [
    "n.example/c:1",
  ]);
});

Deno.test("docker.io can be a mirror", () => {
  const rules = { "k8s.gcr.io": "docker.io/mirrorgooglecontainers", "docker.io": "m.example" };
  assertEquals(tries(rules, "k8s.gcr.io/pause:3.2"), ["docker.io/mirrorgooglecontainers/pause:3.2"]);
  assertEquals(tries(rules, "mirrorgooglecontainers/pause:3.2"), "is-mirror");
  assertEquals(tries(rules, "nginx:1"), ["m.example/library/nginx:1"]);
});

Deno.test("the matching rule is returned as it was given, with its line", () => {
  const rule = { origin: "*.io", mirrors: ["m.example"], line: 7 };
  assert(matchRule(compileRules([rule]), parseReference("quay.io/x")).rule === rule);
});

Deno.test("malformed rules throw a TypeError", () => {
  assertThrows(() => compileRules([{ origin: "quay", mirrors: ["m.example"] }]), TypeError, 'origin "quay": ');
  assertThrows(() => compileRules([{ origin: "quay.io", mirrors: ["m"] }]), TypeError, 'mirror "m": ');
});

Deno.test("well-formed origins and mirrors have no mistake", () => {
  const both = [
    "quay.io",
    "QUAY.io",
    "localhost",
    "localhost:5000/a",
    "registry:5000",
    "a.example/p/q_r",
    "10.0.0.1:80",
  ];
  for (const text of [...both, "[::1]:5000", "docker.io", "index.docker.io"]) {
    assertEquals(mistakeInOrigin(text), undefined, text);
    assertEquals(mistakeInMirror(text), undefined, text);
  }
  for (const text of ["*", "*.pkg.dev", "*.pkg.dev/a/b", "*.internal", "*.example:5000"]) {
    assertEquals(mistakeInOrigin(text), undefined, text);
  }
  for (const text of ["m.example/{registry}", "m.example/p/{registry}/q", "m.example/p-{registry}"]) {
    assertEquals(mistakeInMirror(text), undefined, text);
  }
});

Deno.test("a malformed origin or mirror is refused with what was expected", () => {
  const both: readonly (readonly [string, string])[] = [
    ["", "expected a registry, such as"],
    ["  ", "expected a registry, such as"],
    ["https://quay.io", "leave out https://"],
    ["docker://quay.io/x", "leave out docker://"],
    ["quay.io ", "leave out the white space"],
    ["quay.io/", "leave out the slash at the end"],
    ["quay.io/a/", "leave out the slash at the end"],
    ["quay.io/a:1", "leave out the tag"],
    [`quay.io/a@${SHA256}`, "leave out the part with @"],
    ["quay.io/A", "the path must be lower-case"],
    ["quay.io//a", "the path is malformed"],
    ["quay.io/../a", "the path is malformed"],
    [`quay.io/${"x".repeat(254)}`, "the path is malformed"],
    ["quay.io:latest", "a port is a number"],
    ["quay.io:", "a port is a number"],
    ["quay.io:0", "a port is a number"],
    ["quay.io:65536", "a port is a number"],
    ["/quay.io", "the host is malformed"],
    ["quay_io.example", "the host is malformed"],
    ["[fe80::1%eth0]:5000", "the host is malformed"],
    ["quay", "as in docker.io/quay"],
    ["coreos/etcd", "the host needs a dot or a port"],
  ];
  for (const [text, expected] of both) {
    assertStringIncludes(mistakeInOrigin(text) ?? "none", expected, `origin ${text}`);
    assertStringIncludes(mistakeInMirror(text) ?? "none", expected, `mirror ${text}`);
  }
  const origins: readonly (readonly [string, string])[] = [
    ["*/path", "takes no path"],
    ["gcr.*", "can only be the entire origin or its first label"],
    ["*pkg.dev", "can only be the entire origin or its first label"],
    ["gcr.io/*", "can only be the entire origin or its first label"],
    ["*.*.dev", "can appear only once"],
    ["*.pkg.dev/*", "can appear only once"],
    ["*.", "the host is malformed"],
    ["*.pkg.dev/", "leave out the slash at the end"],
    ["{registry}", "belongs in a mirror"],
  ];
  for (const [text, expected] of origins) assertStringIncludes(mistakeInOrigin(text) ?? "none", expected, text);
  const mirrors: readonly (readonly [string, string])[] = [
    ["*", "can appear only in an origin"],
    ["*.example", "can appear only in an origin"],
    ["{registry}.example/x", "can appear only in the path"],
    ["m.example/{host}", "the only placeholder is {registry}"],
    ["m.example/{registry", "the only placeholder is {registry}"],
  ];
  for (const [text, expected] of mirrors) assertStringIncludes(mistakeInMirror(text) ?? "none", expected, text);
});

const hosts = ["docker.io", "gcr.io", "a.gcr.io", "b.a.gcr.io", "quay.io:5000", "localhost", "m.example"];
const paths = ["", "/a", "/a/b", "/a-b", "/library"];
const place = fc.tuple(fc.constantFrom(...hosts), fc.constantFrom(...paths)).map(([host, path]) => host + path);
const origin = fc.oneof(place, fc.constantFrom("*", "*.gcr.io", "*.io", "*.a.gcr.io/a", "*.example/a/b"));
const mirror = fc.oneof(place, fc.constantFrom("m.example/{registry}", "gcr.io/a/{registry}"));
const ruleList = fc.array(
  fc.record({ origin, mirrors: fc.array(mirror, { minLength: 1, maxLength: 3 }) }),
  { maxLength: 6 },
);
const image = fc.tuple(place, fc.constantFrom("/x", "/a/x", "/a/b/c"), fc.constantFrom(":1", `@${SHA256}`))
  .map((parts) => parts.join(""));

Deno.test("every candidate is a canonical reference with the same tag or digest, differs from the image, and appears once", () => {
  fc.assert(
    fc.property(ruleList, image, (rules, text) => {
      const reference = parseReference(text);
      const found = matchRule(compileRules(rules), reference);
      if (found.rule === undefined) return;
      const names = found.candidates.map((candidate) => candidate.reference);
      assertEquals(new Set(names).size, names.length);
      for (const candidate of found.candidates) {
        const parsed = parseReference(candidate.reference);
        assertEquals(formatReference(parsed), candidate.reference);
        assertEquals([parsed.domain, repositoryOf(parsed)], [candidate.mirror, candidate.repository]);
        assertEquals([parsed.tag, parsed.digest], [reference.tag, reference.digest]);
        assert(candidate.reference !== formatReference(reference));
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test("no candidate would itself be rewritten", () => {
  fc.assert(
    fc.property(ruleList, image, (rules, text) => {
      const map = compileRules(rules);
      const found = matchRule(map, parseReference(text));
      if (found.rule === undefined) return;
      for (const candidate of found.candidates) {
        const again = matchRule(map, parseReference(candidate.reference));
        assert(again.rule === undefined && again.because === "is-mirror", candidate.reference);
      }
    }),
    { numRuns: 1000 },
  );
});
