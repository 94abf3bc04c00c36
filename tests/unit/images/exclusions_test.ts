// Tests lib/images/exclusions.ts: what a pattern matches.

import { assert, assertEquals, assertLess, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import { compileExclusions, mistakeInImagePattern, mistakeInNamespacePattern } from "../../../lib/images/exclusions.ts";
import { formatReference, parseReference } from "../../../lib/images/reference.ts";

const DIGEST = "sha256:" + "f".repeat(64);

/** Pattern, images that it matches, images that it does not. */
const IMAGES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ["gcr.io/team/app", ["gcr.io/team/app:1", "gcr.io/team/app", `gcr.io/team/app@${DIGEST}`], ["gcr.io/team/app/x:1"]],
  ["gcr.io/team/app:1", ["gcr.io/team/app:1", `gcr.io/team/app:1@${DIGEST}`], [
    "gcr.io/team/app:12",
    `gcr.io/team/app@${DIGEST}`,
  ]],
  ["gcr.io/team/*", ["gcr.io/team/app:1"], ["gcr.io/team/a/b:1", "gcr.io/team:1", "gcr.io/teams/a:1"]],
  ["gcr.io/team/**", ["gcr.io/team/app:1", "gcr.io/team/a/b/c:1"], ["gcr.io/team:1", "gcr.io/teams/a:1"]],
  ["gcr.io/team/", ["gcr.io/team/app:1", "gcr.io/team/a/b:1"], ["gcr.io/team:1", "gcr.io/teams/a:1"]],
  ["gcr.io/**/debug", ["gcr.io/a/debug:1", "gcr.io/a/b/debug:1"], ["gcr.io/debug:1", "gcr.io/a/debugger:1"]],
  ["gcr.io/*-internal/*:v1.*", ["gcr.io/a-internal/x:v1.0"], ["gcr.io/a-internal/x:v10", "gcr.io/internal/x:v1.0"]],

  // A host alone.
  ["quay.io", ["quay.io/a:1", "QUAY.IO/a/b:1"], ["quay.io:5000/a:1", "a.quay.io/a:1", "quay.io:1"]],
  ["QUAY.io/", ["quay.io/a:1"], ["gcr.io/a:1"]],
  ["localhost", ["localhost/a:1"], ["localhost:5000/a:1", "localhost:1"]],
  ["localhost:5000", ["localhost:5000/a:1"], ["localhost/a:1"]],
  ["registry:5000/", ["registry:5000/a/b:1"], ["registry/a:1"]],
  ["[::1]:5000", ["[::1]:5000/a:1"], ["[::1]/a:1"]],
  ["*.example", ["a.example/x:1", "a.b.example/x/y:1"], ["example.org/x:1", "a.example:5000/x:1"]],
  ["docker.io", ["nginx", "bitnami/redis:1", "index.docker.io/x:1"], ["gcr.io/nginx:1"]],
  ["index.docker.io", ["nginx"], ["gcr.io/nginx:1"]],

  // Completed like a reference.
  ["nginx", ["nginx:1", "docker.io/library/nginx:2"], ["nginx-2:1", "bitnami/nginx:1", "gcr.io/nginx:1"]],
  ["nginx:1.*", ["nginx:1.25"], ["nginx:1", "nginx:11.2"]],
  ["nginx:5000", ["nginx:5000"], ["nginx:1", "nginx:5000/x:1"]],
  ["docker.io/nginx", ["nginx:1"], ["gcr.io/nginx:1"]],
  ["docker.io/**", ["nginx:1", "bitnami/redis:1"], ["gcr.io/a:1"]],
  ["ng*", ["nginx:1"], ["bitnami/nginx:1"]],
  ["bitnami/*", ["bitnami/redis:1"], ["gcr.io/bitnami/redis:1"]],
  ["bitnami/", ["bitnami/redis:1", "bitnami/a/b:1"], ["bitnami:1"]],

  // Leading wildcards.
  ["*", ["nginx", "gcr.io/a/b/c:1", `gcr.io/a@${DIGEST}`], []],
  ["**", ["nginx", "gcr.io/a/b/c:1"], []],
  ["*:debug", ["nginx:debug", "gcr.io/a/b:debug"], ["nginx:1", `nginx@${DIGEST}`]],
  ["nginx:latest", ["nginx"], [`nginx@${DIGEST}`, "nginx:1"]],
  ["*:1", ["gcr.io/a:1"], ["gcr.io/a:2"]],
  ["*:*", ["nginx", `gcr.io/a@${DIGEST}`], []],
  ["*/pause", ["gcr.io/pause:1", "k8s.gcr.io/pause:3"], ["gcr.io/a/pause:1", "pause:1"]],
  ["**/pause", ["gcr.io/pause:1", "gcr.io/a/pause:1", "pause:1"], ["gcr.io/my-pause:1"]],
  ["**pause**", ["gcr.io/my-pause-2/x:1"], ["gcr.io/paus/e:1"]],
  ["*.gcr.io/*/secret", ["eu.gcr.io/a/secret:1"], ["gcr.io/a/secret:1", "eu.gcr.io/secret:1"]],

  // Tags keep their case.
  ["gcr.io/a:RC*", ["gcr.io/a:RC1"], ["gcr.io/a:rc1"]],
  // An odd name without a domain.
  ["foo_bar.com/x", ["foo_bar.com/x:1"], ["foo_bar.com/y:1"]],
];

Deno.test("an image pattern matches what it describes and nothing else", () => {
  for (const [pattern, matching, others] of IMAGES) {
    assertEquals(mistakeInImagePattern(pattern), undefined, pattern);
    const exclusions = compileExclusions({ images: [pattern], namespaces: [] });
    for (const image of matching) {
      assertEquals(exclusions.image(parseReference(image)), pattern, `${pattern} matches ${image}`);
    }
    for (const image of others) {
      assertEquals(exclusions.image(parseReference(image)), undefined, `${pattern} does not match ${image}`);
    }
  }
});

Deno.test("the first pattern that matches is returned as it was written", () => {
  const exclusions = compileExclusions({ images: ["gcr.io", "nginx", "*"], namespaces: ["kube-system", "kube-*"] });
  assertEquals(exclusions.image(parseReference("nginx:1")), "nginx");
  assertEquals(exclusions.image(parseReference("quay.io/a:1")), "*");
  assertEquals(exclusions.namespace("kube-system"), "kube-system");
  assertEquals(exclusions.namespace("kube-public"), "kube-*");
});

Deno.test("without patterns nothing is excluded", () => {
  const exclusions = compileExclusions({ images: [], namespaces: [] });
  assertEquals(exclusions.image(parseReference("nginx")), undefined);
  assertEquals(exclusions.namespace("default"), undefined);
});

Deno.test("a namespace matches exactly, or with * for any run of characters", () => {
  const table: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ["dev", ["dev"], ["dev-1", "my-dev", "de"]],
    ["dev-*", ["dev-", "dev-1", "dev-a-b"], ["dev", "xdev-1"]],
    ["*-ci", ["a-ci", "-ci"], ["ci", "a-ci-b"]],
    ["*", ["default"], []],
    ["a*b*c", ["abc", "axbxc", "abbcc"], ["ab", "acb"]],
  ];
  for (const [pattern, matching, others] of table) {
    const exclusions = compileExclusions({ images: [], namespaces: [pattern] });
    for (const name of matching) assertEquals(exclusions.namespace(name), pattern, `${pattern} matches ${name}`);
    for (const name of others) assertEquals(exclusions.namespace(name), undefined, `${pattern} is not ${name}`);
  }
});

Deno.test("a malformed image pattern is refused with what was expected", () => {
  const table: readonly (readonly [string, string])[] = [
    ["", "expected a pattern such as"],
    ["gcr.io/***", "expected * (anything but /) or ** (anything)"],
    ["gcr.io/a?", "the only wildcards are"],
    ["gcr.io/{a,b}", "the only wildcards are"],
    ["gcr.io/[ab]", "no image can match this"],
    [`gcr.io/a@${DIGEST}`, "leave out the digest"],
    ["https://gcr.io/a", "leave out https://"],
    ["gcr.io/a b", "white space"],
    ["gcr.io/Team/*", "must be lowercase"],
    ["Team/*", "must be lowercase"],
    ["gcr.io//a", "no image can match this"],
    ["/a", "no image can match this"],
    ["gcr.io/a:", "a tag is"],
    ["gcr.io/a:-x", "a tag is"],
    ["gcr.io/a-/*", "no image can match this"],
    ["x".repeat(10_000), "no reference is longer than"],
  ];
  for (const [pattern, expected] of table) {
    assertStringIncludes(mistakeInImagePattern(pattern) ?? "none", expected, pattern);
    assertThrows(() => compileExclusions({ images: [pattern], namespaces: [] }), TypeError);
  }
});

Deno.test("a malformed namespace pattern is refused with what was expected", () => {
  for (const pattern of ["kube-system", "*", "kube-*", "*-ci", "a", "0"]) {
    assertEquals(mistakeInNamespacePattern(pattern), undefined, pattern);
  }
  for (const pattern of ["", "Kube", "a/b", "a b", "-a", "a-", "a_b", "a.b", "x".repeat(64)]) {
    assertStringIncludes(mistakeInNamespacePattern(pattern) ?? "none", "expected a namespace", pattern);
    assertThrows(() => compileExclusions({ images: [], namespaces: [pattern] }), TypeError);
  }
});

const element = fc.stringMatching(/^[ab]{1,4}$/);
const name = fc.array(element, { minLength: 1, maxLength: 4 }).map((elements) => elements.join("/"));

Deno.test("a pattern without wildcards matches exactly the reference it spells", () => {
  fc.assert(fc.property(name, name, (one, other) => {
    const pattern = `gcr.io/${one}:1`;
    const exclusions = compileExclusions({ images: [pattern], namespaces: [] });
    assertEquals(exclusions.image(parseReference(`gcr.io/${other}:1`)) === pattern, one === other);
  }));
});

Deno.test("wildcards match like the equivalent regular expression", () => {
  const wild = fc.array(fc.constantFrom("a", "b", "/", "*", "**"), { minLength: 1, maxLength: 8 })
    .map((parts) => parts.join("")).filter((text) => mistakeInImagePattern(`gcr.io/${text}:1`) === undefined)
    .filter((text) => !text.endsWith("/"));
  fc.assert(
    fc.property(wild, name, (pattern, path) => {
      const source = pattern.replaceAll(/\*\*|\*/g, (stars) => stars === "*" ? "[^/]*" : ".*");
      const exclusions = compileExclusions({ images: [`gcr.io/${pattern}`], namespaces: [] });
      const matched = exclusions.image(parseReference(`gcr.io/${path}:1`)) !== undefined;
      assertEquals(matched, new RegExp(`^${source}$`).test(path));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("a reference without a digest is excluded by its own canonical text", () => {
  for (const image of ["nginx", "gcr.io/a:1", "localhost/x", "[::1]:5000/x", "foo_bar.com/x", "Reg.Example:1/x:RC"]) {
    const reference = parseReference(image);
    const exclusions = compileExclusions({ images: [formatReference(reference)], namespaces: [] });
    assert(exclusions.image(reference) !== undefined, image);
  }
});

Deno.test("a pattern with many wildcards is matched quickly", () => {
  const pattern = "gcr.io/" + "*a".repeat(60) + "**b";
  const exclusions = compileExclusions({ images: [pattern], namespaces: [] });
  const reference = parseReference("gcr.io/" + "a".repeat(255));
  const start = performance.now();
  assertEquals(exclusions.image(reference), undefined);
  assertLess(performance.now() - start, 100);
});
