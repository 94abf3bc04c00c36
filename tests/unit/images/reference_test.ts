// Tests lib/images/reference.ts against distribution/reference, with tables from its tests and its
// odd cases, and with properties.

import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  familiarReference,
  formatReference,
  InvalidReferenceError,
  isDomain,
  isImageId,
  parseReference,
  repositoryOf,
} from "../../../lib/images/reference.ts";
import type { InvalidReferenceReason } from "../../../lib/images/reference.ts";

const SHA256 = "sha256:" + "f".repeat(64);
const SHA384 = "sha384:" + "0".repeat(96);
const SHA512 = "sha512:" + "a".repeat(128);
const HEX64 = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a";

/** Text, canonical text, familiar text. */
const VALID: readonly (readonly [string, string, string])[] = [
  // Docker Hub: the domain, the official prefix and the tag are filled in.
  ["nginx", "docker.io/library/nginx:latest", "nginx:latest"],
  ["nginx:1.25", "docker.io/library/nginx:1.25", "nginx:1.25"],
  ["library/nginx:1", "docker.io/library/nginx:1", "nginx:1"],
  ["docker.io/nginx:1", "docker.io/library/nginx:1", "nginx:1"],
  ["docker.io/library/nginx:1", "docker.io/library/nginx:1", "nginx:1"],
  ["index.docker.io/nginx:1", "docker.io/library/nginx:1", "nginx:1"],
  ["index.docker.io/fooo/bar:1", "docker.io/fooo/bar:1", "fooo/bar:1"],
  ["docker.io/library/foo/bar:1", "docker.io/library/foo/bar:1", "library/foo/bar:1"],
  ["other/library:1", "docker.io/other/library:1", "other/library:1"],
  ["myhost/x:1", "docker.io/myhost/x:1", "myhost/x:1"],

  // Other registries: a dot, a port or localhost.
  ["gcr.io/pause:3", "gcr.io/pause:3", "gcr.io/pause:3"],
  ["gcr.io/a/b/c:1", "gcr.io/a/b/c:1", "gcr.io/a/b/c:1"],
  ["k8s.gcr.io/pause", "k8s.gcr.io/pause:latest", "k8s.gcr.io/pause:latest"],
  ["localhost/x:1", "localhost/x:1", "localhost/x:1"],
  ["localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x:1"],
  ["test:5000/repo:5050", "test:5000/repo:5050", "test:5000/repo:5050"],
  ["192.168.1.1:5000/repo", "192.168.1.1:5000/repo:latest", "192.168.1.1:5000/repo:latest"],
  ["xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com/myimage:xn--n3h.com"],
  ["[2001:db8::1]:5000/repo:tag", "[2001:db8::1]:5000/repo:tag", "[2001:db8::1]:5000/repo:tag"],
  ["[::1]/repo:tag", "[::1]/repo:tag", "[::1]/repo:tag"],

  // Digests: no tag is added to a digest, and a tag next to a digest is kept.
  [`nginx@${SHA256}`, `docker.io/library/nginx@${SHA256}`, `nginx@${SHA256}`],
  [`gcr.io/x:1@${SHA256}`, `gcr.io/x:1@${SHA256}`, `gcr.io/x:1@${SHA256}`],
  [`gcr.io/x@${SHA384}`, `gcr.io/x@${SHA384}`, `gcr.io/x@${SHA384}`],
  [`gcr.io/x@${SHA512}`, `gcr.io/x@${SHA512}`, `gcr.io/x@${SHA512}`],

  // Separators of a path: one dot, one or two underscores, any number of dashes.
  ["a/x__y:1", "docker.io/a/x__y:1", "a/x__y:1"],
  ["a/x---y:1", "docker.io/a/x---y:1", "a/x---y:1"],
  ["a/x.y_z-0:1", "docker.io/a/x.y_z-0:1", "a/x.y_z-0:1"],
  ["x:_A.b-C_", "docker.io/library/x:_A.b-C_", "x:_A.b-C_"],
  ["lowercase:Uppercase", "docker.io/library/lowercase:Uppercase", "lowercase:Uppercase"],
];

/** Text, canonical text, and why it looks wrong but is not. */
const ODD: readonly (readonly [string, string, string])[] = [
  ["localhost", "docker.io/library/localhost:latest", "without a slash everything is an image"],
  ["docker.io", "docker.io/library/docker.io:latest", "without a slash everything is an image"],
  ["a.b:1", "docker.io/library/a.b:1", "the colon is a tag, not a port"],
  ["192.168.0.1:80", "docker.io/library/192.168.0.1:80", "the colon is a tag, not a port"],
  ["gcr_io/x:1", "docker.io/gcr_io/x:1", "an underscore makes it no domain, and there is no dot"],
  ["foo_bar.com/x:1", "foo_bar.com/x:1", "taken for a domain by its dot, refused as one: all of it is a path"],
  ["DOCKER.IO/x:1", "DOCKER.IO/x:1", "docker.io is recognized in lower case only"],
  ["registry-1.docker.io/library/x:1", "registry-1.docker.io/library/x:1", "another name for Docker Hub, not folded"],
  ["Foo/bar:1", "Foo/bar:1", "since 0.5.0 an upper-case letter makes a domain"],
  ["FOO/bar:1", "FOO/bar:1", "since 0.5.0 an upper-case letter makes a domain"],
  ["[ABC]/x:1", "[ABC]/x:1", "the grammar takes any hexadecimal text in brackets for an address"],
  ["[:::::]/x:1", "[:::::]/x:1", "the grammar takes any colons in brackets for an address"],
  ["a:99999999/x:1", "a:99999999/x:1", "the range of a port is not checked"],
  ["a:0/x:1", "a:0/x:1", "the range of a port is not checked"],
  [`${HEX64}:1`, `docker.io/library/${HEX64}:1`, "only 64 digits alone are an ID"],
  [`gcr.io/${HEX64}`, `gcr.io/${HEX64}:latest`, "only 64 digits alone are an ID"],
  [HEX64.slice(1), `docker.io/library/${HEX64.slice(1)}:latest`, "63 digits are a name"],
  [`sha256:${HEX64}`, `docker.io/library/sha256:${HEX64}`, "an ID to the kubelet, a name and a tag to the grammar"],
  [`sha256@${SHA256}`, `docker.io/library/sha256@${SHA256}`, "sha256 is a name like any other"],
  ["1/2:3", "docker.io/1/2:3", "digits are names"],
  ["a--b.c/x:1", "a--b.c/x:1", "dashes may repeat in a domain"],
  [`a.b/${"a/".repeat(127)}a:1`, `a.b/${"a/".repeat(127)}a:1`, "255 characters of path; the domain does not count"],
  [`x:${"t".repeat(128)}`, `docker.io/library/x:${"t".repeat(128)}`, "the longest tag"],
];

const INVALID: readonly (readonly [string, InvalidReferenceReason])[] = [
  ["", "empty"],
  [HEX64, "bare-hex"],
  ["Uppercase:tag", "uppercase"],
  ["docker/Docker", "uppercase"],
  ["test:5000/Uppercase/lowercase:tag", "uppercase"],
  ["gcr.io/facts/UPPER:1", "uppercase"],
  ["FOO_BAR/x", "uppercase"],
  ["\u212Aernel", "uppercase"], // the Kelvin sign, whose lower case is a plain k
  [" nginx", "bad-format"],
  ["nginx ", "bad-format"],
  ["nginx\n", "bad-format"],
  ["nginx:1\n", "bad-format"],
  ["\u0000", "bad-format"],
  ["naïve", "bad-format"],
  ["\uD800", "bad-format"],
  ["https://github.com/docker/docker", "bad-format"],
  ["docker://nginx", "bad-format"],
  ["/", "bad-format"],
  ["/x", "bad-format"],
  ["x/", "bad-format"],
  ["gcr.io/", "bad-format"],
  ["docker///docker", "bad-format"],
  ["a/../b", "bad-format"],
  ["..", "bad-format"],
  ["a/./b", "bad-format"],
  ["-docker", "bad-format"],
  ["-docker.io/docker/docker", "bad-format"],
  ["docker-/docker", "bad-format"],
  ["_docker/_docker", "bad-format"],
  ["____/____", "bad-format"],
  ["x___y", "bad-format"],
  ["x..y", "bad-format"],
  ["x_.y", "bad-format"],
  ["x-.y", "bad-format"],
  ["x-_y", "bad-format"],
  ["a..b/x", "bad-format"],
  ["a.b-/x", "bad-format"],
  ["aa/asdf$$^/aa", "bad-format"],
  [":justtag", "bad-format"],
  [`@${SHA256}`, "bad-format"],
  [":", "bad-format"],
  ["@", "bad-format"],
  ["a:/x", "bad-format"],
  ["a:5000x/y", "bad-format"],
  ["foo_bar:5000/x", "bad-format"],
  ["fc00::1:5000/debian", "bad-format"],
  ["[]/x", "bad-format"],
  ["[abc]/x", "bad-format"], // no dot, colon or upper-case letter: a path
  ["[fe80::1%eth0]:5000/x", "bad-format"],
  ["[fe80::1%@invalidzone]:5000/x", "bad-format"],
  ["[2001:db8:3:4::192.0.2.33]:5000/debian", "bad-format"],
  ["[fc00::1]", "bad-format"],
  ["[fc00::1]:5000", "bad-format"],
  ["a:b/c:d/e", "bad-format"],
  ["x:", "tag-format"],
  ["x:a:b", "tag-format"],
  ["x:-a", "tag-format"],
  ["x:.a", "tag-format"],
  ["x:a b", "bad-format"],
  ["x:ä", "tag-format"],
  [`x:${"t".repeat(129)}`, "tag-format"],
  ["localhost:5000/x:", "tag-format"],
  [`x:@${SHA256}`, "tag-format"],
  ["x@", "digest-format"],
  ["x@sha256", "digest-format"],
  ["x@sha256:", "digest-format"],
  [`x@:${"f".repeat(64)}`, "digest-format"],
  [`x@SHA256:${"f".repeat(64)}`, "digest-format"],
  [`x@sha256:${"F".repeat(64)}`, "digest-format"],
  [`x@sha256:${"g".repeat(64)}`, "digest-format"],
  [`x@${SHA256}@${SHA256}`, "digest-format"],
  [`x@${SHA256}:1`, "digest-format"],
  ["repo@sha256:" + "f".repeat(34), "digest-length"],
  ["repo@sha256:f", "digest-length"],
  [`repo@${SHA256}0`, "digest-length"],
  [`repo@sha512:${"f".repeat(64)}`, "digest-length"],
  [`validname@invaliddigest:${"f".repeat(64)}`, "unsupported-digest"],
  [`x@md5:${"f".repeat(32)}`, "unsupported-digest"],
  [`x@sha256+b64:${"f".repeat(64)}`, "unsupported-digest"],
  [`x@constructor:${"f".repeat(64)}`, "unsupported-digest"],
  ["a/".repeat(128) + "a:tag", "too-long"],
  [`gcr.io/${"x".repeat(256)}`, "too-long"],
  [`${"x".repeat(248)}:1`, "too-long"], // 256 with library/
  [`${"a.".repeat(3000)}b/x:1`, "too-long"], // a domain that the library accepts and no resolver does
];

Deno.test("every valid reference is normalized and shown as Docker does", () => {
  for (const [input, canonical, familiar] of VALID) {
    const reference = parseReference(input);
    assertEquals(formatReference(reference), canonical, input);
    assertEquals(familiarReference(reference), familiar, input);
  }
});

Deno.test("odd cases of the grammar are accepted as the library accepts them", () => {
  for (const [input, canonical, why] of ODD) {
    assertEquals(formatReference(parseReference(input)), canonical, `${input}: ${why}`);
  }
});

Deno.test("every invalid reference is refused with its reason", () => {
  for (const [input, reason] of INVALID) {
    const error = assertThrows(() => parseReference(input), InvalidReferenceError, undefined, JSON.stringify(input));
    assertEquals(error.reason, reason, JSON.stringify(input));
    assertEquals(error.input, input);
    assert(error.sentence.length > 0 && error.message.endsWith(error.sentence));
  }
});

Deno.test("a reference is split into domain, path, tag and digest", () => {
  assertEquals(parseReference(`[::1]:5000/a/b:1@${SHA256}`), {
    domain: "[::1]:5000",
    path: "a/b",
    tag: "1",
    digest: SHA256,
  });
  assertEquals(parseReference("foo_bar.com/x"), {
    domain: "",
    path: "foo_bar.com/x",
    tag: "latest",
    digest: undefined,
  });
  assertEquals(parseReference(`nginx@${SHA256}`).tag, undefined);
  assertEquals(repositoryOf(parseReference("nginx:1")), "docker.io/library/nginx");
});

Deno.test("the longest bare name has 247 characters, because library/ is counted", () => {
  assertEquals(parseReference("x".repeat(247)).path.length, 255);
});

Deno.test("an error quotes the text on one line and shortens a long text", () => {
  const error = assertThrows(() => parseReference("a\nb"), InvalidReferenceError);
  assertEquals(error.message, 'invalid image reference "a\\nb": a reference must not contain white space');
  const long = assertThrows(() => parseReference("!".repeat(5000)), InvalidReferenceError);
  assertLess(long.message.length, 250);
  assertEquals(long.input.length, 5000);
});

Deno.test("an error for a common mistake says what to change", () => {
  const sentence = (input: string) => assertThrows(() => parseReference(input), InvalidReferenceError).sentence;
  assertEquals(sentence("https://gcr.io/x"), "leave out https://");
  assertEquals(sentence("gcr.io/X"), "repository name must be lowercase");
  assertEquals(sentence("x@sha256:abc"), "a sha256 digest has 64 digits, but this one has 3");
});

Deno.test("an image ID is sha256: and 64 lower-case digits, and nothing else", () => {
  assert(isImageId(`sha256:${HEX64}`));
  for (const text of [HEX64, `sha256:${HEX64}0`, `sha256:${HEX64.toUpperCase()}`, `x@sha256:${HEX64}`, "sha256:", ""]) {
    assert(!isImageId(text), text);
  }
});

Deno.test("a domain may have a port and be an IP address, but has no path", () => {
  for (const text of ["gcr.io", "localhost", "a", "A-b.c:1", "127.0.0.1:5000", "[::1]", "[::1]:5000"]) {
    assert(isDomain(text), text);
  }
  for (const text of ["", "a_b", "a/b", "-a", "a-", "a..b", ".a", "a.", "a:", "a:b", "[::1", "::1", "a b", "a\n"]) {
    assert(!isDomain(text), JSON.stringify(text));
  }
});

const alphanumeric = fc.stringMatching(/^[a-z0-9]{1,8}$/);
const pathElement = fc.array(fc.tuple(alphanumeric, fc.constantFrom(".", "_", "__", "-", "---")), { maxLength: 3 })
  .chain((parts) => alphanumeric.map((last) => parts.flat().join("") + last));
const label = fc.stringMatching(/^[a-zA-Z0-9]([a-zA-Z0-9-]{0,6}[a-zA-Z0-9])?$/);
const domain = fc.oneof(
  fc.constantFrom("docker.io", "index.docker.io", "localhost", "gcr.io", "[::1]:5000", "[fd00::2]", "registry:5000"),
  fc.tuple(fc.array(label, { minLength: 2, maxLength: 4 }), fc.option(fc.nat(65535)))
    .map(([labels, port]) => labels.join(".") + (port === null ? "" : `:${port}`)),
);
const digest = fc.constantFrom(SHA256, SHA384, SHA512);
const validText = fc.record({
  domain: fc.option(domain),
  path: fc.array(pathElement, { minLength: 1, maxLength: 4 }),
  tag: fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/)),
  digest: fc.option(digest),
}).map((parts) =>
  (parts.domain === null ? "" : `${parts.domain}/`) + parts.path.join("/") +
  (parts.tag === null ? "" : `:${parts.tag}`) + (parts.digest === null ? "" : `@${parts.digest}`)
);
const piece = fc.oneof(
  alphanumeric,
  label,
  domain,
  digest,
  fc.constantFrom(
    "/",
    ":",
    "@",
    ".",
    "_",
    "-",
    "//",
    "[",
    "]",
    "sha256:",
    "library/",
    "docker.io/",
    "é",
    "\n",
    " ",
    HEX64,
  ),
);

Deno.test("any text that the grammar produces is parsed, and its canonical text parses to the same reference", () => {
  fc.assert(fc.property(validText, (text) => {
    const reference = parseReference(text);
    assertEquals(parseReference(formatReference(reference)), reference);
  }));
});

Deno.test("normalizing is idempotent and always yields a tag or a digest", () => {
  fc.assert(fc.property(validText, (text) => {
    const once = formatReference(parseReference(text));
    assertEquals(formatReference(parseReference(once)), once);
    const { tag, digest } = parseReference(once);
    assert(tag !== undefined || digest !== undefined);
  }));
});

Deno.test("the parser throws only InvalidReferenceError, and what it accepts survives formatting", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: "grapheme" }),
    fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(text, (text) => {
      try {
        const reference = parseReference(text);
        assertEquals(parseReference(formatReference(reference)), reference);
      } catch (error) {
        if (!(error instanceof InvalidReferenceError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("a megabyte of anything is refused within a second", () => {
  for (const unit of ["a", "A", "-", "a-", "a.", "a/", "_", ":", "@", "[", "a:", " ", "https://", "f", "é"]) {
    for (const [before, after] of [["", ""], ["a", "!"], ["gcr.io/", "!"], ["x:", ""], ["x@sha256:", ""]]) {
      const text = before + unit.repeat(1 << 20) + after;
      const start = performance.now();
      assertThrows(() => parseReference(text), InvalidReferenceError);
      assertLess(performance.now() - start, 1000, `${before}${unit}…${after}`);
    }
  }
});

Deno.test("the longest texts that are parsed take little time, whatever they repeat", () => {
  const texts = ["a", "-", "a-", "a.", "a.-", "a_", "a__", "a/", "[:", "0"].flatMap((unit) =>
    ["", "gcr.io/", "x@sha256:"].map((before) => `${before}${unit.repeat(2000)}`.slice(0, 4090) + "!")
  );
  const start = performance.now();
  for (const text of texts) assertThrows(() => parseReference(text), InvalidReferenceError);
  assertLess((performance.now() - start) / texts.length, 5);
});
