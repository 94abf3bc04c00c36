// Tests lib/runtime/brief_texts.ts on what Docker Engines and containerd say of failed pulls; most
// texts were captured, with the names replaced.

import { assert, assertEquals } from "@std/assert";
import { inBrief, sentenceIn } from "../../../lib/runtime/brief_texts.ts";
import { readTable } from "../../e2e/texts/table.ts";

const REFERENCE = "mirror.example/a/b:1";
const DIGEST = `sha256:${"d".repeat(64)}`;
const MANIFEST = "https://mirror.example/v2/a/b/manifests/1";
const BLOB = `https://mirror.example/v2/a/b/blobs/${DIGEST}`;
const UNRESOLVED = `failed to pull and unpack image "${REFERENCE}": failed to resolve reference "${REFERENCE}": `;
const UNCOPIED = `failed to pull and unpack image "${REFERENCE}": failed to copy: httpReadSeeker: failed open: `;
const LIMIT =
  "You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit";
const PAGE = '<!DOCTYPE html>\\n<html lang=\\"en\\"><head><style>body { margin: 0 }</style>\\n' +
  "<title>502 Bad Gateway</title></head>\\n<body><center><h1>502 Bad Gateway</h1></center>\\n<!-- x --><hr>nginx</body></html>\\n";

/** What the runtime says, and what operators read after `pull mirror.example/a/b:1: `. */
const TEXTS: readonly (readonly [string, string])[] = [
  // Docker Engine
  [`manifest for ${REFERENCE} not found: manifest unknown: manifest unknown`, "manifest unknown"],
  [
    `manifest for ${REFERENCE} not found: manifest unknown: The named manifest is not known to the registry.`,
    "manifest unknown: The named manifest is not known to the registry.",
  ],
  [
    "repository mirror.example/a/b not found: name unknown: repository name not known to registry",
    "name unknown: repository name not known to registry",
  ],
  [
    "pull access denied for mirror.example/a/b, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    "pull access denied, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
  ],
  [`Head "${MANIFEST}": no basic auth credentials`, "no basic auth credentials"],
  [
    'Get "https://mirror.example/v2/": dial tcp 192.0.2.1:443: connect: connection refused',
    "dial tcp 192.0.2.1:443: connect: connection refused",
  ],
  [`Get "${MANIFEST}": unauthorized: authentication required`, "unauthorized: authentication required"],
  [`toomanyrequests: ${LIMIT}`, `toomanyrequests: ${LIMIT}`],
  [
    `error parsing HTTP 502 response body: invalid character '<' looking for beginning of value: "${PAGE}"`,
    "error parsing HTTP 502 response body: invalid character '<' looking for beginning of value: \"502 Bad Gateway nginx\"",
  ],
  [
    `unknown: failed to resolve reference "${REFERENCE}": unexpected status from HEAD request to ${MANIFEST}: 403 Forbidden`,
    "unexpected status from HEAD request: 403 Forbidden",
  ],
  ["error from registry: not the identity token", "error from registry: not the identity token"],
  // containerd
  [`${UNRESOLVED}${REFERENCE}: not found`, "not found"],
  [
    `${UNRESOLVED}failed to do request: Head "${MANIFEST}": dial tcp 127.0.0.1:1: connect: connection refused`,
    "failed to do request: dial tcp 127.0.0.1:1: connect: connection refused",
  ],
  [
    `${UNRESOLVED}pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials`,
    "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials",
  ],
  [
    `${UNRESOLVED}unexpected status from HEAD request to ${MANIFEST}?ns=docker.io: 403 Forbidden`,
    "unexpected status from HEAD request: 403 Forbidden",
  ],
  [
    `${UNRESOLVED}failed to authorize: failed to fetch anonymous token: Get "https://auth.example/token": Get "https://auth.example/token": i/o timeout`,
    'failed to authorize: failed to fetch anonymous token: Get "https://auth.example/token": Get "…": i/o timeout',
  ],
  [
    `${UNCOPIED}content at https://mirror.example/v2/a/b/manifests/${DIGEST} not found: not found`,
    "failed to copy: httpReadSeeker: failed open: content at manifest sha256:dddddddddddd… not found",
  ],
  [
    `${UNCOPIED}unexpected status code ${BLOB}: 401 Unauthorized`,
    "failed to copy: httpReadSeeker: failed open: unexpected status code blob sha256:dddddddddddd…: 401 Unauthorized",
  ],
  // What is too long loses its middle, never its reason.
  [
    `${UNCOPIED}unexpected status code ${BLOB}: 429 Too Many Requests - Server message: toomanyrequests: ${LIMIT}`,
    `failed to copy: httpReadSeeker: failed open: unexpected…: ${LIMIT}`,
  ],
  [
    `failed to extract layer (application/vnd.oci.image.layer.v1.tar+gzip ${DIGEST}) to overlayfs as "extract-260106421-WDeK sha256:dc6b": write /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/x: no space left on device`,
    'failed to extract layer (application/vnd.oci.image.layer.v1.tar+gzip sha256:dddddddddddd…) to overlayfs as "extract-260106421-WDeK sha256:dc6b": write…: no space left on device',
  ],
  // Others
  ["repeated: repeated", "repeated"],
  [
    "unauthorized: authentication required: unauthorized: authentication required",
    "unauthorized: authentication required",
  ],
  ["unexpected EOF: EOF", "unexpected EOF"],
  ["the image is gone, the image is gone.", "the image is gone."],
  ["something new", "something new"],
  ["", ""],
];

for (const [text, brief] of TEXTS) {
  Deno.test(`in brief: ${text.slice(-80)}`, () => {
    assertEquals(inBrief(`pull ${REFERENCE}: ${text}`, REFERENCE), `pull ${REFERENCE}: ${brief}`);
    assertEquals(sentenceIn(`pull ${REFERENCE}: ${brief}`, REFERENCE), brief);
  });
}

Deno.test("a text that is brief already stays as it is", () => {
  for (const [, brief] of TEXTS) {
    const text = `pull ${REFERENCE}: ${brief}`;
    assertEquals(inBrief(text, REFERENCE), text);
  }
});

Deno.test("of captured texts the reason stays, and neither the reference nor its URL is said again", async () => {
  const reference = "mirror.example:5000/team/app:1";
  for (const { message } of await readTable()) {
    if (message === "") continue;
    const text = inBrief(`pull ${reference}: ${message}`, reference);
    assertEquals(text.split(reference).length, 2, text);
    assert(!text.includes("mirror.example:5000/v2/team/app/manifests/1"), text);
    assert(text.length < 260, text);
    const reason = message.split(": ").at(-1)!;
    if (!/[<"]|[0-9a-f]{64}/.test(reason)) assert(text.endsWith(reason), `${text} ends in ${reason}`);
  }
});

Deno.test("a page of a thousand characters is brief, whatever part of it was cut off", () => {
  for (
    const page of [
      PAGE.repeat(9),
      `<html><style>${"a { b: c } ".repeat(99)}`,
      `<html>${"x".repeat(990)}`,
      "<html><!-- x",
    ]
  ) {
    for (let length = 0; length < Math.min(page.length, 1000); length += 7) {
      const said = `error parsing HTTP 502 response body: invalid character '<' looking for beginning of value: "`;
      const text = inBrief(`pull ${REFERENCE}: ${said}${page.slice(0, length)}…`, REFERENCE);
      assert(text.length < 260 && !/<(?:html|style|!)/.test(text.replace(/"<!?[a-z]*…$/i, "")), text);
    }
  }
});

Deno.test("a mirror on Docker Hub and a name with special characters are known, too", () => {
  const hub = "docker.io/team/app:1";
  const url = "https://registry-1.docker.io/v2/team/app/manifests/1";
  assertEquals(inBrief(`pull ${hub}: Head "${url}": EOF`, hub), `pull ${hub}: EOF`);
  const dotted = "m.example:5000/a.b/c-d@sha256:" + "a".repeat(64);
  const other = 'Head "https://mXexample:5000/v2/aXb/c-d/manifests/1": EOF';
  assertEquals(inBrief(`pull ${dotted}: ${other}`, dotted), `pull ${dotted}: ${other}`);
});

Deno.test("what the registry proxy says of a request is told without the request", () => {
  const said = "GET mirror.example/a/b manifests/1: answered 404, MANIFEST_UNKNOWN: manifest unknown";
  assertEquals(sentenceIn(said, REFERENCE), "answered 404, MANIFEST_UNKNOWN: manifest unknown");
});
