// Tests lib/images/location.ts: how `host[:port][/path]` is parsed, and which path contains which.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  canonicalHost,
  formatLocation,
  isBelow,
  isWithin,
  mistakeInLocation,
  parseLocation,
  withoutPort,
} from "../../../lib/images/location.ts";

Deno.test("parsing a location normalizes the host and keeps the path as written", () => {
  assertEquals(parseLocation("Mirror.Example:5000"), { host: "mirror.example:5000", path: "" });
  assertEquals(parseLocation("Index.Docker.IO/library"), { host: "docker.io", path: "library" });
  assertEquals(parseLocation("*.PKG.dev/a/{registry}/b"), { host: "*.pkg.dev", path: "a/{registry}/b" });
  assertEquals(parseLocation("[::1]:5000/x"), { host: "[::1]:5000", path: "x" });
});

Deno.test("a formatted location parses to the same location", () => {
  const host = fc.constantFrom(
    "docker.io",
    "INDEX.docker.io",
    "Quay.io",
    "mirror.example:5000",
    "[2001:db8::1]:5000",
    "*",
  );
  const path = fc.array(fc.stringMatching(/^[a-z0-9]{1,8}$/), { maxLength: 4 }).map((elements) => elements.join("/"));
  fc.assert(fc.property(host, path, (host, path) => {
    const location = parseLocation(path === "" ? host : `${host}/${path}`);
    assertEquals(location.path, path);
    assertEquals(location.host, canonicalHost(host));
    assertEquals(parseLocation(formatLocation(location)), location);
  }));
});

Deno.test("only a port is removed from a host", () => {
  assertEquals(withoutPort("mirror.example:5000"), "mirror.example");
  assertEquals(withoutPort("mirror.example"), "mirror.example");
  assertEquals(withoutPort("[::1]:5000"), "[::1]");
  assertEquals(withoutPort("[::1]"), "[::1]");
});

Deno.test("a path contains another by complete elements", () => {
  for (const [path, prefix] of [["a", ""], ["a/b", "a"], ["a/b/c", "a/b"]] as const) {
    assert(isBelow(path, prefix), `${path} below ${prefix}`);
    assert(isWithin(path, prefix), `${path} within ${prefix}`);
  }
  for (const path of ["", "a", "a/b"]) {
    assert(isWithin(path, path), `${path} within itself`);
    assert(!isBelow(path, path), `${path} below itself`);
  }
  for (const [path, prefix] of [["ab", "a"], ["a", "a/b"], ["b/a", "a"]] as const) {
    assert(!isWithin(path, prefix) && !isBelow(path, prefix), `${path} in ${prefix}`);
  }
});

Deno.test("a mistake in a location comes with an example", () => {
  assertEquals(mistakeInLocation("mirror.example:5000/a/b", "x.example"), undefined);
  assertEquals(
    mistakeInLocation("https://mirror.example", "x.example"),
    "leave out https://: expected a registry, such as x.example",
  );
  assertEquals(
    mistakeInLocation("mirror.example/a/", "x.example"),
    "leave out the slash at the end: expected a registry, such as x.example",
  );
});
