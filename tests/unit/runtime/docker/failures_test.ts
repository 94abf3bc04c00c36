import { assert, assertEquals } from "@std/assert";
import { classifyCallFailure, classifyPullFailure } from "../../../../lib/runtime/docker/failures.ts";
import type { RuntimeErrorKind } from "../../../../lib/runtime/errors.ts";
import { plainText, retryAfterSeconds } from "../../../../lib/runtime/registry_texts.ts";
import { readTable } from "../../../e2e/texts/table.ts";

const REFERENCE = "mirror.example/a/b:1";

// Messages of Engines 20.10 to 29 with both image stores; most were captured, with the names
// replaced.
const PULL_FAILURES: readonly (readonly [RuntimeErrorKind, number, string])[] = [
  ["not-found", 404, "manifest for mirror.example/a/b:1 not found: manifest unknown: manifest unknown"],
  [
    "not-found",
    404,
    "manifest for mirror.example/a/b:1 not found: manifest unknown: The named manifest is not known to the registry.",
  ],
  ["not-found", 500, "manifest unknown"],
  ["not-found", 500, "name unknown"],
  ["not-found", 404, "repository mirror.example/a/b not found: name unknown: repository name not known to registry"],
  [
    "not-a-registry",
    500,
    "error parsing HTTP 404 response body: invalid character '<' looking for beginning of value: \"<html></html>\"",
  ],
  ["not-found", 404, 'failed to resolve reference "mirror.example/a/b:1": mirror.example/a/b:1: not found'],
  ["wrong-platform", 200, "no matching manifest for linux/amd64 in the manifest list entries"],
  ["wrong-platform", 404, "no match for platform in manifest: not found"],
  [
    "denied",
    404,
    "pull access denied for mirror.example/a/b, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
  ],
  [
    "denied",
    404,
    "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
  ],
  ["denied", 500, 'Head "https://mirror.example/v2/a/b/manifests/1": no basic auth credentials'],
  ["denied", 500, "unauthorized: authentication required"],
  ["denied", 500, "unauthorized"],
  ["denied", 500, "denied"],
  ["denied", 401, "authentication required"],
  ["denied", 403, "Forbidden"],
  ["denied", 500, 'Get "https://mirror.example/v2/a/b/manifests/1": unauthorized: incorrect username or password'],
  [
    "denied",
    500,
    "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value: \"<html>Forbidden</html>\"",
  ],
  ["denied", 500, "unexpected status from HEAD request to https://mirror.example/v2/a/b/manifests/1: 403 Forbidden"],
  [
    "failed",
    500,
    'connection error: desc = "transport: Error while dialing: dial unix /run/containerd/containerd.sock: connect: connection refused"',
  ],
  ["rate-limited", 500, "toomanyrequests: You have reached your pull rate limit"],
  ["rate-limited", 429, "Too Many Requests (HAP429)"],
  [
    "rate-limited",
    500,
    "error parsing HTTP 429 response body: invalid character 's' looking for beginning of value: \"slow down\"",
  ],
  [
    "rate-limited",
    500,
    "unexpected status from HEAD request to https://mirror.example/v2/a/b/manifests/1: 429 Too Many Requests",
  ],
  ["denied", 500, "denied: too many requests from this address"],
  ["registry-down", 500, 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'],
  ["registry-down", 500, 'Get "https://gcr.io/v2/": dial tcp: lookup gcr.io on 10.255.255.53:53: no such host'],
  ["registry-down", 500, 'Get "https://gcr.io/v2/": dial tcp: lookup gcr.io on 10.0.0.2:53: server misbehaving'],
  ["registry-down", 500, 'Get "https://gcr.io/v2/": dial tcp: lookup gcr.io: Temporary failure in name resolution'],
  ["registry-down", 500, 'Get "https://gcr.io/v2/": dial tcp 142.250.1.82:443: i/o timeout'],
  ["registry-down", 500, 'Get "https://gcr.io/v2/": net/http: TLS handshake timeout'],
  [
    "registry-down",
    500,
    'Get "https://gcr.io/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)',
  ],
  ["registry-down", 500, 'Get "https://gcr.io/v2/": context deadline exceeded'],
  ["registry-down", 500, 'Get "https://mirror.example/v2/": x509: certificate signed by unknown authority'],
  [
    "registry-down",
    500,
    'Get "https://mirror.example/v2/": tls: failed to verify certificate: x509: certificate has expired or is not yet valid',
  ],
  ["registry-down", 500, 'Get "https://mirror.example/v2/": http: server gave HTTP response to HTTPS client'],
  [
    "registry-down",
    500,
    'Get "https://mirror.example/v2/": proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: permission denied',
  ],
  ["registry-down", 500, 'Get "https://mirror.example/v2/": EOF'],
  [
    "registry-down",
    500,
    'Get "https://auth.docker.io/token?scope=repository%3Aa%2Fb%3Apull": dial tcp 1.2.3.4:443: connect: no route to host',
  ],
  ["registry-error", 500, "received unexpected HTTP status: 503 Service Unavailable"],
  ["registry-error", 500, "received unexpected HTTP status: 500 Internal Server Error"],
  [
    "registry-error",
    500,
    "unexpected status from HEAD request to https://mirror.example/v2/a/b/manifests/1: 502 Bad Gateway",
  ],
  ["registry-error", 503, ""],
  ["registry-error", 200, "EOF"],
  ["registry-error", 200, "unexpected EOF"],
  ["registry-error", 200, "read tcp 10.0.0.1:5000->10.0.0.2:443: read: connection reset by peer"],
  [
    "registry-error",
    200,
    "error pulling image configuration: download failed after attempts=6: dial tcp 10.0.0.2:443: connect: connection refused",
  ],
  ["rejected", 400, "invalid reference format: repository name must be lowercase"],
  ["rejected", 400, "invalid tag format"],
  ["rejected", 403, "'scratch' is a reserved name"],
  ["disk-full", 200, "failed to register layer: write /usr/lib/x.so: no space left on device"],
  [
    "incomplete-image",
    200,
    "filesystem layer verification failed for digest sha256:d1408ba658b3723a5f91862f9f3911e221931774107909bda5106ac52115a87a",
  ],
  ["failed", 500, "open /var/lib/docker/tmp/GetImageBlob1: permission denied"],
  ["unsupported-image", 500, "error unmarshalling content: invalid character 'g' looking for beginning of value"],
  ["failed", 500, "something new"],
  // The Engine speaks, whatever words it uses: it has the layer, and its digest is right.
  ["cannot-unpack", 200, "failed to register layer: unexpected EOF"],
  ["cannot-unpack", 200, "failed to register layer: archive/tar: invalid tar header"],
  [
    "cannot-unpack",
    200,
    "failed to register layer: Error processing tar file(exit status 1): unexpected EOF",
  ],
  ["failed", 500, "layer does not exist"],
  ["failed", 403, "authorization denied by plugin acme-authz: not on this host"],
  [
    "failed",
    500,
    'plugin acme-authz failed with error: Post "http://%2Frun%2Fdocker%2Fplugins%2Facme-authz.sock/AuthZPlugin.AuthZReq": dial unix /run/docker/plugins/acme-authz.sock: connect: no such file or directory',
  ],
  // The Engine's proxy speaks.
  ["proxy-refused", 500, 'Get "https://mirror.example/v2/": Proxy Authentication Required'],
  ["proxy-refused", 500, 'Get "https://mirror.example/v2/": Forbidden'],
  ["registry-down", 500, 'Get "https://mirror.example/v2/": Bad Gateway'],
  // What the Engine states beats the words of the body that it quotes.
  [
    "rate-limited",
    500,
    "error parsing HTTP 429 response body: invalid character 'd' looking for beginning of value: \"denied: manifest unknown\"",
  ],
  [
    "denied",
    500,
    "error parsing HTTP 403 response body: invalid character 't' looking for beginning of value: \"toomanyrequests, HTTP 503, x509: EOF\"",
  ],
  [
    "registry-down",
    500,
    "error parsing HTTP 400 response body: invalid character 'C' looking for beginning of value: \"Client sent an HTTP request to an HTTPS server.\\n\"",
  ],
  // Not missing, but of no use.
  [
    "unsupported-image",
    404,
    "manifest unknown: OCI index found, but accept header does not support OCI indexes",
  ],
  ["unsupported-image", 500, "missing signature key"],
  [
    "unsupported-image",
    200,
    'encountered remote "application/vnd.cncf.helm.config.v1+json"(helm) when fetching; expecting "application/vnd.docker.container.image.v1+json"',
  ],
  ["incomplete-image", 200, "unknown blob"],
  ["wrong-platform", 200, 'image operating system "windows" cannot be used on this platform'],
  // Not a registry at all.
  ["not-a-registry", 500, "error unmarshalling content: invalid character '<' looking for beginning of value"],
  [
    "not-a-registry",
    500,
    "Head \"https://mirror.example/v2/a/b/manifests/1\": unable to decode token response: invalid character '<' looking for beginning of value",
  ],
  [
    "registry-error",
    500,
    'Head "https://mirror.example/v2/a/b/manifests/1": error parsing HTTP 404 response body: invalid character \'p\' after top-level value: "404 page not found\\n"',
  ],
  // Harbor's code NOT_FOUND, which the Engine does not know.
  ["not-found", 404, "unknown: artifact a/b:1 not found"],
];

Deno.test("pull failures are classified across Docker versions", () => {
  for (const [kind, status, message] of PULL_FAILURES) {
    assertEquals(classifyPullFailure({ status, message }, REFERENCE).kind, kind, `${status} ${message}`);
  }
});

Deno.test("each text of the real Engines is taken for the right kind", async () => {
  const rows = await readTable();
  const told = rows.filter(({ runtime, kind }) => runtime.startsWith("docker") && kind !== "pulled");
  assertEquals(new Set(told.map(({ runtime }) => runtime)).size, 3);
  const wrong = told.map((row) => {
    const failure = { status: row.said === "stream" ? 200 : Number(row.said), message: row.message };
    return { ...row, given: classifyPullFailure(failure, "mirror.example:5000/team/app:1").kind };
  }).filter(({ kind, given }) => given !== kind);
  assertEquals(wrong, []);
});

Deno.test("words in the name of the image do not affect the classification", () => {
  for (const reference of ["m.example/denied/not-found:429", "m.example/toomanyrequests:EOF", "unauthorized/x509:no"]) {
    const name = reference.slice(0, reference.lastIndexOf(":"));
    const path = name.slice(name.indexOf("/") + 1);
    const texts = [
      `something new happened to ${reference}`,
      `Get "https://m.example/v2/${path}/manifests/503": something new`,
      `something new about ${name}`,
    ];
    for (const message of texts) {
      assertEquals(classifyPullFailure({ status: 500, message }, reference).kind, "failed", message);
    }
  }
});

Deno.test("the registry's retry time comes from the header or the text", () => {
  const cases = [
    ["30", "toomanyrequests", 30],
    [undefined, "toomanyrequests: retry-after: 826.926µs, allowed: 44000/minute", 826.926e-6],
    [undefined, "toomanyrequests: Retry-After: 1m30s", 90],
    [undefined, "Too Many Requests. Retry after 45 seconds.", 45],
    [undefined, "toomanyrequests: retry after 12.", 12],
    [undefined, "toomanyrequests: You have reached your pull rate limit", undefined],
    ["Wed, 21 Oct 2026 07:28:00 GMT", "toomanyrequests", undefined],
  ] as const;
  for (const [retryAfter, message, seconds] of cases) {
    const verdict = classifyPullFailure({ status: 429, message, retryAfter }, REFERENCE);
    assertEquals(verdict.kind, "rate-limited");
    if (seconds === undefined) assertEquals(verdict.retryAfterSeconds, undefined, message);
    else {assert(
        Math.abs((verdict.retryAfterSeconds ?? NaN) - seconds) < 1e-9,
        `${message}: ${verdict.retryAfterSeconds}`,
      );}
  }
});

Deno.test("a duration is read as Go prints it, and in no other form", () => {
  for (const [text, seconds] of [["0", 0], ["120", 120], ["1h2m3s", 3723], ["250ms", 0.25], ["5s", 5]] as const) {
    assertEquals(retryAfterSeconds(text), seconds, text);
  }
  for (const text of ["", "-1", "soon", "1e9", "5 s", "1.5", "99999999999"]) {
    assertEquals(retryAfterSeconds(text), undefined, text);
  }
});

Deno.test("a failed inspect or tag is classified alike, although 20.10 answers 500 and later Engines 400", () => {
  const cases = [
    ["not-found", 404, "No such image: a/b:1"],
    ["failed", 404, "page not found"],
    ["rejected", 400, "invalid reference format"],
    ["rejected", 500, "invalid reference format: repository name must be lowercase"],
    ["rejected", 500, "invalid tag format"],
    ["rejected", 400, "refusing to create a tag with a digest reference"],
    ["rejected", 301, "HTTP status 301"],
    ["failed", 500, "layer does not exist"],
    ["failed", 200, "HTTP status 200"],
  ] as const;
  for (const [kind, status, message] of cases) {
    assertEquals(classifyCallFailure({ status, message }), kind, `${status} ${message}`);
  }
});

Deno.test("a text from Docker becomes one line without control characters, of bounded length", () => {
  assertEquals(plainText(" a\r\nb\tc\u001b[31m\u0085\u2028d "), "a b c [31m d");
  assertEquals(plainText("x".repeat(5000)).length, 1001);
});

Deno.test("only the beginning of a long failure is read, since some patterns take quadratic time", () => {
  const verdict = (message: string) => classifyPullFailure({ status: 500, message }, REFERENCE).kind;
  assertEquals(verdict(`toomanyrequests ${"status ".repeat(1_000_000)}`), "rate-limited");
  assertEquals(verdict(`${"status ".repeat(1_000_000)} toomanyrequests`), "failed");
});
