// Tests lib/proxy/routes.ts: which requests are manifests and blobs, and that nothing else gets
// through.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatReference } from "../../../lib/images/reference.ts";
import { originOf, type Route, routeOf } from "../../../lib/proxy/routes.ts";

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

const get = (path: string, method = "GET") => routeOf({ method, path, origin: "gcr.io" });

function shown(route: Route): string {
  switch (route.result) {
    case "base":
      return "base";
    case "manifest":
    case "blob":
      return `${route.result} ${formatReference(route.image)}`;
    case "refused":
      return `${route.status} ${route.because}`;
  }
}

const ROUTES: readonly (readonly [path: string, route: string])[] = [
  ["/v2/", "base"],
  ["/v2", "base"],
  ["/v2/a/b/manifests/1", "manifest gcr.io/a/b:1"],
  ["/v2/pause/manifests/3.2", "manifest gcr.io/pause:3.2"],
  [`/v2/a/b/manifests/${DIGEST}`, `manifest gcr.io/a/b@${DIGEST}`],
  [`/v2/a/b/blobs/${DIGEST}`, `blob gcr.io/a/b@${DIGEST}`],
  ["/v2/a/manifests/manifests/1", "manifest gcr.io/a/manifests:1"],
  ["/v2/a/blobs/b/manifests/1", "manifest gcr.io/a/blobs/b:1"],
  ["/", "404 no such route"],
  ["/v1/", "404 no such route"],
  ["/v2/_catalog", "404 no such route"],
  ["/v2/a/tags/list", "404 no such route"],
  ["/v2/a/referrers/sha256:0", "404 no such route"],
  ["/v2/a/blobs/uploads/", "404 no such route"],
  ["/v2/a/blobs/latest", "404 a blob is named by its digest"],
  ["/v2/a/blobs/sha256:0", "404 not a digest by sha256 or sha512"],
  ["/v2/a/manifests/md5:0123456789abcdef0123456789abcdef", "404 not a digest by sha256 or sha512"],
  ["/v2/a/manifests/..", "404 not a valid name"],
  ["/v2/../a/manifests/1", "404 not a valid name"],
  ["/v2/a/../b/manifests/1", "404 not a valid name"],
  ["/v2/%2e%2e/a/manifests/1", "404 no such route"],
  ["/v2/a%2fb/manifests/1", "404 no such route"],
  ["/v2/a\\b/manifests/1", "404 no such route"],
  ["/v2//a/manifests/1", "404 not a valid name"],
  ["/v2/A/manifests/1", "404 not a valid name"],
  ["/v2/a:1/manifests/1", "404 not a valid name"],
  [`/v2/a@${DIGEST}/manifests/1`, "404 not a valid name"],
  ["/v2/a/manifests/1/", "404 no such route"],
];

for (const [path, route] of ROUTES) {
  Deno.test(`${path} is ${route}`, () => assertEquals(shown(get(path)), route));
}

Deno.test("HEAD has the routes of GET, and no other method has any", () => {
  assertEquals(shown(get("/v2/a/manifests/1", "HEAD")), "manifest gcr.io/a:1");
  for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "head", ""]) {
    assertEquals(shown(get("/v2/a/manifests/1", method)), "405 use GET or HEAD");
  }
});

Deno.test("a route names exactly the path that was requested, whatever the path", () => {
  const piece = fc.constantFrom("a", "b-c", "..", ".", "", "%2f", "manifests", "blobs", "A", ":", "@", "?", "#", " ");
  const path = fc.array(piece, { maxLength: 6 }).map((pieces) => `/v2/${pieces.join("/")}/manifests/1`);
  fc.assert(fc.property(fc.oneof(path, fc.string()), (path) => {
    const route = get(path);
    if (route.result !== "manifest" && route.result !== "blob") return;
    const { domain, path: name, tag, digest } = route.image;
    assertEquals([domain, `/v2/${name}/${route.result}s/${tag ?? digest}`], ["gcr.io", path]);
  }));
});

Deno.test("the origin is the parameter ns or the header Host, without the port of HTTPS", () => {
  assertEquals(originOf("gcr.io", ""), "gcr.io");
  assertEquals(originOf("GCR.io:443", ""), "gcr.io");
  assertEquals(originOf("registry.example:5000", ""), "registry.example:5000");
  assertEquals(originOf("127.0.0.1:12443", "?ns=quay.io"), "quay.io");
  for (const host of ["127.0.0.1:12443", "127.8.0.1", "localhost:12443", "[::1]:12443"]) {
    assertEquals(originOf(host, ""), "docker.io", host);
  }
  assertEquals(originOf("127.0.0.1.example", ""), "127.0.0.1.example");
  assertEquals(originOf("127.0.0.1:12443", "ns=registry.example%3A5000&x=1"), "registry.example:5000");
});
