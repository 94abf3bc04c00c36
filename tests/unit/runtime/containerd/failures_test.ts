import { assertEquals } from "@std/assert";
import { classifyCall, classifyPull } from "../../../../lib/runtime/containerd/failures.ts";
import type { RuntimeErrorKind } from "../../../../lib/runtime/errors.ts";
import { readTable } from "../../../e2e/texts/table.ts";

const REFERENCE = "mirror.example/a/b:1";
const DIGEST = `sha256:${"d".repeat(64)}`;

/** What containerd puts before the reason, when it could not resolve a reference. */
const unresolved = (reason: string, reference = REFERENCE) =>
  `failed to pull and unpack image "${reference}": failed to resolve reference "${reference}": ${reason}`;

/** … and when it could not download or unpack it. */
const unpulled = (reason: string) => `failed to pull and unpack image "${REFERENCE}": ${reason}`;

const uncopied = (reason: string) => unpulled(`failed to copy: httpReadSeeker: failed open: ${reason}`);

const blob = `https://mirror.example/v2/a/b/blobs/${DIGEST}`;
const manifest = `https://mirror.example/v2/a/b/manifests/${DIGEST}`;
const head = 'failed to do request: Head "https://mirror.example/v2/a/b/manifests/1"';

// Texts of containerd 1.6.20, all captured, with the names replaced.
const TEXTS_OF_1_6: readonly (readonly [RuntimeErrorKind, number, string])[] = [
  ["not-found", 5, unresolved(`${REFERENCE}: not found`)],
  ["denied", 2, unresolved("pulling from host mirror.example failed with status code [manifests 1]: 401 Unauthorized")],
  ["denied", 2, unresolved("pulling from host mirror.example failed with status code [manifests 1]: 403 Forbidden")],
  [
    "rate-limited",
    2,
    unresolved("pulling from host mirror.example failed with status code [manifests 1]: 429 Too Many Requests"),
  ],
  [
    "registry-error",
    2,
    unresolved("pulling from host mirror.example failed with status code [manifests 1]: 500 Internal Server Error"),
  ],
  [
    "registry-error",
    2,
    unresolved("pulling from host mirror.example failed with status code [manifests 1]: 503 Service Unavailable"),
  ],
  ["registry-down", 2, unresolved(`${head}: dial tcp 127.0.0.1:1: connect: connection refused`)],
  ["registry-down", 2, unresolved(`${head}: dial tcp: lookup mirror.example on 10.255.255.53:53: no such host`)],
  ["registry-down", 2, unresolved(`${head}: x509: certificate signed by unknown authority`)],
  [
    "registry-down",
    2,
    unresolved(`${head}: x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs`),
  ],
  ["registry-down", 2, unresolved(`${head}: http: server gave HTTP response to HTTPS client`)],
  [
    "registry-down",
    2,
    unresolved(
      `${head}: net/http: HTTP/1.x transport connection broken: malformed HTTP response "\\x15\\x03\\x03\\x00\\x02\\x022"`,
    ),
  ],
  ["registry-down", 2, unresolved(`${head}: malformed HTTP status code "there"`)],
  ["registry-down", 2, unresolved(`${head}: EOF`)],
  ["registry-down", 2, unresolved('failed to do request: Head "/v2/a/b/manifests/1": stopped after 10 redirects')],
  [
    "denied",
    2,
    unresolved("failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized"),
  ],
  ["denied", 2, unresolved("failed to authorize: failed to fetch oauth token: unexpected status: 403 Forbidden")],
  [
    "rate-limited",
    2,
    unresolved("failed to authorize: failed to fetch oauth token: unexpected status: 429 Too Many Requests"),
  ],
  [
    "registry-error",
    2,
    unresolved("failed to authorize: failed to fetch anonymous token: unexpected status: 503 Service Unavailable"),
  ],
  [
    "registry-down",
    2,
    unresolved(
      'failed to authorize: failed to fetch anonymous token: Get "http://127.0.0.1:1/token?scope=repository%3Aa%2Fb%3Apull&service=x": dial tcp 127.0.0.1:1: connect: connection refused',
    ),
  ],
  [
    "denied",
    2,
    unresolved(
      "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
    ),
  ],
  ["rejected", 2, 'failed to parse image reference "a//b:1": invalid reference format'],
  [
    "rejected",
    2,
    'failed to parse image reference "gcr.io/UPPER:1": invalid reference format: repository name must be lowercase',
  ],
  ["denied", 2, uncopied(`unexpected status code ${blob}: 401 Unauthorized`)],
  ["denied", 2, uncopied(`unexpected status code ${blob}: 403 Forbidden`)],
  ["rate-limited", 2, uncopied(`unexpected status code ${blob}: 429 Too Many Requests`)],
  ["registry-error", 2, uncopied(`unexpected status code ${blob}: 502 Bad Gateway`)],
  ["registry-error", 2, uncopied(`unexpected status code ${blob}: 416 Range Not Satisfiable`)],
  ["registry-error", 2, uncopied(`failed to do request: Get "${blob}": EOF`)],
  // The mirror has the image's manifest, so the image is not missing there; it is incomplete.
  [
    "incomplete-image",
    5,
    uncopied(
      `could not fetch content descriptor ${DIGEST} (application/vnd.docker.container.image.v1+json) from remote: not found`,
    ),
  ],
  ["not-a-registry", 5, uncopied(`could not fetch content descriptor ${DIGEST} (text/html) from remote: not found`)],
  ["incomplete-image", 5, uncopied(`content at ${manifest} not found: not found`)],
  [
    "not-a-registry",
    5,
    unpulled(
      `failed to unpack image on snapshotter overlayfs: unexpected media type text/html for ${DIGEST}: not found`,
    ),
  ],
  [
    "incomplete-image",
    9,
    unpulled(
      `failed commit on ref "config-${DIGEST}": unexpected commit digest sha256:${
        "e".repeat(64)
      }, expected ${DIGEST}: failed precondition`,
    ),
  ],
];

// Texts of other versions, as users reported them in public, with the names replaced.
const TEXTS_OF_OTHERS: readonly (readonly [RuntimeErrorKind, number, string])[] = [
  // 1.4
  ["denied", 2, unresolved("failed to authorize: failed to fetch oauth token: unexpected status: 403 Forbidden")],
  // 1.3
  ["denied", 2, unresolved("unexpected status code [manifests v0.3.0]: 401 Unauthorized")],
  // 1.4
  ["registry-down", 2, unresolved("unexpected EOF")],
  // 1.4
  [
    "incomplete-image",
    9,
    unpulled(
      `failed commit on ref "layer-${DIGEST}": unexpected commit digest sha256:${
        "e".repeat(64)
      }, expected ${DIGEST}: failed precondition`,
    ),
  ],
  [
    "registry-error",
    9,
    unpulled(
      `failed commit on ref "manifest-${DIGEST}": commit failed: "manifest-${DIGEST}" failed size validation: 1357 != 1069: failed precondition`,
    ),
  ],
  // 1.7, 2.x: the layer has the right digest, and is not a whole archive
  [
    "cannot-unpack",
    2,
    unpulled(
      `failed to extract layer ${DIGEST}: mount callback failed on /var/lib/containerd/tmpmounts/containerd-mount1: unexpected EOF: unknown`,
    ),
  ],
  // 2.x
  ["wrong-platform", 5, unpulled("no match for platform in manifest: not found")],
  [
    "unsupported-image",
    2,
    unpulled(
      'media type "application/vnd.docker.distribution.manifest.v1+prettyjws" is no longer supported since containerd v2.1, please rebuild the image',
    ),
  ],
  // 1.7
  [
    "registry-error",
    2,
    unresolved(
      "failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://mirror.example/token?scope=x: 404 Not Found",
    ),
  ],
  ["proxy-refused", 2, unresolved(`${head}: Proxy Authentication Required`)],
  // 1.2
  ["failed", 5, unpulled(`failed to unpack image on snapshotter overlayfs: content digest ${DIGEST}: not found`)],
  // 1.6, 1.7
  [
    "rate-limited",
    2,
    uncopied(
      `unexpected status code ${manifest}: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit`,
    ),
  ],
  // 1.7
  [
    "registry-down",
    2,
    unresolved(`${head}: tls: failed to verify certificate: x509: certificate signed by unknown authority`),
  ],
  // 1.7
  [
    "registry-down",
    2,
    unresolved(
      'failed to authorize: failed to fetch anonymous token: Get "https://auth.docker.io/token?scope=repository%3Aa%2Fb%3Apull&service=registry.docker.io": dial tcp 199.59.148.222:443: i/o timeout',
    ),
  ],
  // 1.7
  ["registry-error", 2, uncopied(`unexpected status code ${blob}?ns=docker.io: 400 Bad Request`)],
  // 2.x
  [
    "disk-full",
    2,
    unpulled(
      `failed to extract layer (application/vnd.oci.image.layer.v1.tar+gzip ${DIGEST}) to overlayfs as "extract-260106421-WDeK sha256:dc6b": write /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/105/fs/home/x: no space left on device`,
    ),
  ],
  // 1.4
  [
    "failed",
    2,
    unpulled(
      `failed to extract layer ${DIGEST}: failed to mount /var/lib/containerd/tmpmounts/containerd-mount788433525: input/output error: unknown`,
    ),
  ],
  // 2.x
  [
    "denied",
    2,
    unresolved(
      "unexpected status from HEAD request to https://mirror.example/v2/a/b/manifests/1?ns=docker.io: 403 Forbidden",
    ),
  ],
  // 2.0
  [
    "denied",
    2,
    unresolved(
      "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials",
    ),
  ],
  // 2.1.9, captured
  ["not-found", 5, unpulled(`failed to resolve image: ${REFERENCE}: not found`)],
  [
    "denied",
    2,
    unpulled(
      "failed to resolve image: unexpected status from HEAD request to http://mirror.example/v2/a/b/manifests/1: 401 Unauthorized",
    ),
  ],
  [
    "registry-down",
    2,
    unpulled(`failed to resolve image: ${head}: dial tcp: lookup mirror.example on 192.0.2.1:53: no such host`),
  ],
];

for (const [kind, status, message] of [...TEXTS_OF_1_6, ...TEXTS_OF_OTHERS]) {
  Deno.test(`${kind} is the pull that fails with status ${status}: ${message.slice(-90)}`, () => {
    assertEquals(classifyPull({ status, message }, REFERENCE), { kind, retryAfterSeconds: undefined }, message);
  });
}

Deno.test("each text of the real containerds is taken for the right kind", async () => {
  const rows = await readTable();
  const told = rows.filter(({ runtime, kind }) => runtime.startsWith("containerd") && kind !== "pulled");
  assertEquals(new Set(told.map(({ runtime }) => runtime)).size, 2);
  const wrong = told.map((row) => {
    const failure = { status: Number(row.said.replace("gRPC ", "")), message: row.message };
    return { ...row, given: classifyPull(failure, "mirror.example:5000/team/app:1").kind };
  }).filter(({ kind, given }) => given !== kind);
  assertEquals(wrong, []);
});

Deno.test("words and numbers in the name of the image do not affect the classification of a pull", () => {
  const refused = "pulling from host m.example failed with status code [manifests";
  const cases = [
    ["m.example/a/b:429", `${refused} 429]: 401 Unauthorized`, "denied"],
    ["m.example/a/b:403", `${refused} 403]: 503 Service Unavailable`, "registry-error"],
    ["m.example/a/b:503", `${refused} 503]: 404 Not Found`, "not-found"],
    ["m.example/denied/x509:1", "something new about m.example/denied/x509", "failed"],
  ] as const;
  for (const [reference, reason, kind] of cases) {
    assertEquals(classifyPull({ status: 2, message: unresolved(reason, reference) }, reference).kind, kind, reference);
  }
});

Deno.test("a manifest that a mirror lacks is a missing image if it is the one that was asked for", () => {
  const text = uncopied(`content at ${manifest} not found: not found`);
  const kindFor = (reference: string) => classifyPull({ status: 5, message: text }, reference).kind;
  assertEquals(kindFor(`mirror.example/a/b@${DIGEST}`), "not-found");
  assertEquals(kindFor(REFERENCE), "incomplete-image");
});

Deno.test("a retry time in the text is kept", () => {
  const message = unresolved("429 Too Many Requests - Server message: toomanyrequests: retry-after: 1m30s");
  assertEquals(classifyPull({ status: 2, message }, REFERENCE), { kind: "rate-limited", retryAfterSeconds: 90 });
});

Deno.test("a call that is no pull is classified by its status, and a reference by the text", () => {
  const cases = [
    ["not-found", 5, 'image "a/b:1": not found'],
    ["rejected", 3, "Image.Name required"],
    ["rejected", 6, 'image "a/b:1": already exists'],
    ["unreachable", 12, "unknown service runtime.v1.ImageService"],
    ["unreachable", 12, "unknown method TransferImages for service runtime.v1.ImageService"],
    ["failed", 12, "not implemented: something of this image alone"],
    ["unreachable", 2, "server is not initialized yet"],
    ["unreachable", 14, 'connection error: desc = "transport is closing"'],
    ["rejected", 2, 'failed to parse image reference "a//b:1": invalid reference format'],
    ["failed", 9, "namespace is required: failed precondition"],
    ["failed", 2, "something new"],
    ["failed", 99, "a status that no gRPC has"],
  ] as const;
  for (const [kind, status, message] of cases) assertEquals(classifyCall({ status, message }), kind, message);
});
