// Tests lib/proxy/endpoint.ts and lib/proxy/manifests.ts: what a client is answered, and what a
// mirror is asked.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type EndpointOptions, startEndpoint, type TestEndpoint } from "../../fakes/endpoint.ts";
import { digestOf, type FakeMirror, MANIFEST_TYPE, registryError, startMirror } from "../../fakes/mirror.ts";
import { exchange } from "../../support/raw_http.ts";

/** Runs a test with mirrors and an endpoint whose rule for gcr.io has them in this order. */
function test(
  name: string,
  run: (bench: { endpoint: TestEndpoint; mirrors: FakeMirror[]; first: FakeMirror }) => Promise<void>,
  options: Omit<EndpointOptions, "registries"> & { readonly count?: number } = {},
): void {
  Deno.test(name, async () => {
    const mirrors = Array.from({ length: options.count ?? 1 }, startMirror);
    const rule = { origin: "gcr.io", mirrors: mirrors.map(({ host }) => `${host}/gcr`) };
    try {
      await using endpoint = startEndpoint({ registries: [rule], ...options });
      await run({ endpoint, mirrors, first: mirrors[0]! });
    } finally {
      await Promise.all(mirrors.map((mirror) => mirror.stop()));
    }
  });
}

async function errorOf(response: Response): Promise<{ status: number; code: string; message: string }> {
  const { errors: [{ code, message }] } = await response.json();
  return { status: response.status, code, message };
}

test("the base of the API is answered without a challenge, whatever a client sends", async ({ endpoint }) => {
  const response = await endpoint.ask("gcr.io", "/v2/", { headers: { authorization: "Basic c2VjcmV0" } });
  assertEquals([response.status, await response.text()], [200, "{}"]);
  assertEquals(response.headers.get("www-authenticate"), null);
});

test("a tag is served with its digest, and a digest by its name", async ({ endpoint, first }) => {
  const { digest, manifest } = first.put("gcr/team/app:1");
  for (const reference of ["1", digest]) {
    const head = await endpoint.ask("gcr.io", `/v2/team/app/manifests/${reference}`, { method: "HEAD" });
    const get = await endpoint.ask("gcr.io", `/v2/team/app/manifests/${reference}`);
    assertEquals([await head.text(), await get.text()], ["", manifest]);
    for (const { status, headers } of [head, get]) {
      assertEquals([status, headers.get("content-type")], [200, MANIFEST_TYPE]);
      assertEquals(headers.get("docker-content-digest"), digest);
      assertEquals(headers.get("content-length"), String(manifest.length));
    }
  }
});

test("a mirror sees what a client accepts, and nothing of its credentials", async ({ endpoint, first }) => {
  first.put("gcr/app:1");
  const headers = { accept: "a/b, c/d", authorization: "Bearer secret", cookie: "secret", "if-none-match": '"x"' };
  await (await endpoint.ask("gcr.io", "/v2/app/manifests/1", { headers })).body?.cancel();
  const sent = first.headers.at(-1)!;
  assertEquals([sent.get("accept"), sent.get("if-none-match")], ["a/b, c/d", '"x"']);
  assertEquals([sent.get("authorization"), sent.get("cookie"), sent.get("via")], [null, null, "1.1 gilly"]);
});

test("several headers with one name are passed on as one", async ({ endpoint, first }) => {
  first.put("gcr/app:1");
  await exchange(
    endpoint.port,
    "GET /v2/app/manifests/1 HTTP/1.1\r\nHost: gcr.io\r\nAccept: a/b\r\nAccept: c/d\r\n\r\n",
  );
  assertEquals(first.headers.at(-1)!.get("accept"), "a/b, c/d");
});

test("the header Host names the origin where no parameter does", async ({ endpoint, first }) => {
  first.put("gcr/app:1");
  for (const host of ["gcr.io", "GCR.IO:443"]) {
    const answer = await exchange(endpoint.port, `HEAD /v2/app/manifests/1 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assertMatch(answer, /^HTTP\/1.1 200 /);
  }
});

test("an unchanged manifest is answered as such", async ({ endpoint, first }) => {
  first.respond = () => new Response(null, { status: 304 });
  const response = await endpoint.ask("gcr.io", "/v2/app/manifests/1", { headers: { "if-none-match": '"x"' } });
  assertEquals([response.status, await response.text()], [304, ""]);
});

test("an image outside the rules is 404 with what to write", async ({ endpoint, first }) => {
  const answer = await errorOf(await endpoint.ask("ghcr.io", "/v2/app/manifests/1"));
  const advice = 'no rule maps ghcr.io: add "ghcr.io: MIRROR" under registries, then systemctl reload gilly';
  assertEquals(answer, { status: 404, code: "MANIFEST_UNKNOWN", message: `gilly: ${advice}` });
  assertEquals(endpoint.notServed, [{
    image: "ghcr.io/app:1",
    attempts: [],
    reason: "no-rule",
    message: advice,
  }]);
  assertEquals(first.requests, []);
});

test("an excluded image is 404 with the pattern", async ({ endpoint, first }) => {
  const answer = await errorOf(await endpoint.ask("gcr.io", "/v2/team/app/manifests/1"));
  assertEquals([answer.status, answer.message], [
    404,
    'gilly: exclude.images has "gcr.io/team/**": change that line',
  ]);
  assertEquals(first.requests, []);
}, { exclude: { images: ["gcr.io/team/**"] } });

test("an image that no mirror has is 404 with each mirror and its answer", async ({ endpoint, mirrors }) => {
  const { status, code, message } = await errorOf(await endpoint.ask("gcr.io", "/v2/app/manifests/1"));
  const each = mirrors.map(({ host }) =>
    `GET ${host}/gcr/app manifests/1: answered 404, MANIFEST_UNKNOWN: manifest unknown`
  );
  assertEquals([status, code, message], [404, "MANIFEST_UNKNOWN", `gilly: ${each.join("; ")}`]);
  assertEquals(endpoint.notServed.map(({ reason }) => reason), ["not-in-mirror"]);
}, { count: 2 });

const PASSING: readonly (readonly [name: string, answer: () => Response, told: RegExp])[] = [
  [
    "denies",
    () => registryError(403, "DENIED", "no"),
    /answered 403, DENIED: no; if it is about credentials: \S+ was asked without credentials/,
  ],
  ["is rate-limited", () => registryError(429, "TOOMANYREQUESTS", "slow down"), /answered 429, TOOMANYREQUESTS: slow/],
  ["breaks", () => new Response("<html>", { status: 502 }), /answered 502$/],
  ["is a web page", () => new Response("<html>", { status: 404 }), /answered 404, a web page$/],
];

for (const [what, respond, told] of PASSING) {
  test(`a mirror that ${what} is 429, and never 401 or 5xx`, async ({ endpoint, first }) => {
    first.respond = respond;
    const { status, code, message } = await errorOf(await endpoint.ask("gcr.io", "/v2/app/manifests/1"));
    assertEquals([status, code], [429, "TOOMANYREQUESTS"]);
    assertMatch(message, told);
  });
}

test("a mirror that is down is not asked again while it cools down", async ({ endpoint, first }) => {
  await first.stop();
  const refused = await errorOf(await endpoint.ask("gcr.io", "/v2/app/manifests/1"));
  const cooling = await errorOf(await endpoint.ask("gcr.io", "/v2/app/manifests/1"));
  assertEquals([refused.status, cooling.status], [429, 429]);
  assertMatch(refused.message, /manifests\/1: .*Connection refused/);
  assertStringIncludes(cooling.message, `${first.host} is cooling down for another 5 s`);
});

test("an image that a mirror limits is not asked for again, and holds up no other", async ({ endpoint, first }) => {
  first.put("gcr/app:1");
  first.respond = ({ url }, serve) =>
    url.includes("/bad/") ? new Response("", { status: 429, headers: { "retry-after": "77" } }) : serve();
  for (const told of [/answered 429$/, new RegExp(`: ${first.host}/gcr/bad is cooling down for another 7[67] s`)]) {
    const { status, message } = await errorOf(await endpoint.ask("gcr.io", "/v2/bad/manifests/1"));
    assertEquals(status, 429);
    assertMatch(message, told);
    const good = await endpoint.ask("gcr.io", "/v2/app/manifests/1");
    await good.body?.cancel();
    assertEquals(good.status, 200);
  }
  assertEquals(first.requests, ["bad", "app", "app"].map((name) => `GET /v2/gcr/${name}/manifests/1`));
});

test("a mirror that does not answer in time is left for the next one", async ({ endpoint, mirrors }) => {
  const [first, second] = mirrors;
  first!.respond = () => new Promise(() => {});
  second!.put("gcr/app:1");
  const response = await endpoint.ask("gcr.io", "/v2/app/manifests/1");
  assertEquals(response.status, 200);
  await response.body?.cancel();
  assertEquals(endpoint.heard[0], `${first!.host}/gcr/app:1: registry-down`);
}, { count: 2, headersTimeoutMs: 200 });

test(
  "a manifest with another digest is not passed on, and the next mirror serves it",
  async ({ endpoint, mirrors }) => {
    const [first, second] = mirrors;
    const { digest, manifest } = second!.put("gcr/app:1");
    first!.respond = () => new Response("{}", { headers: { "docker-content-digest": digest } });
    const response = await endpoint.ask("gcr.io", `/v2/app/manifests/${digest}`);
    assertEquals([response.status, await response.text()], [200, manifest]);
    assertEquals(endpoint.heard[0], `${first!.host}/gcr/app@${digest}: registry-error`);
  },
  { count: 2 },
);

for (
  const [what, page] of [
    ["with its type", () => new Response("<html>", { headers: { "content-type": "text/html" } })],
    ["without a type", () => new Response(new TextEncoder().encode("\n<!DOCTYPE html>"))],
  ] as const
) {
  test(`a web page ${what} is never served as a manifest`, async ({ endpoint, mirrors }) => {
    const [first, second] = mirrors;
    const { manifest } = second!.put("gcr/app:1");
    first!.respond = page;
    const response = await endpoint.ask("gcr.io", "/v2/app/manifests/1");
    assertEquals([response.status, await response.text()], [200, manifest]);
    assertEquals(endpoint.heard[0], `${first!.host}/gcr/app:1: not-a-registry`);
  }, { count: 2 });
}

test("what a mirror has, and no runtime runs, is 404 with the mirror's answer", async ({ endpoint, first }) => {
  const said = "OCI index found, but accept header does not support OCI indexes";
  first.respond = () => registryError(404, "MANIFEST_UNKNOWN", said);
  const { status, code, message } = await errorOf(await endpoint.ask("gcr.io", "/v2/app/manifests/1"));
  assertEquals([status, code], [404, "MANIFEST_UNKNOWN"]);
  assertStringIncludes(message, said);
  assertEquals(endpoint.notServed.map(({ reason }) => reason), ["unsupported-image"]);
});

test("the digest of a tag is that of its bytes, whatever the mirror says", async ({ endpoint, first }) => {
  first.respond = () => new Response("{}", { headers: { "docker-content-digest": digestOf(new Uint8Array()) } });
  const response = await endpoint.ask("gcr.io", "/v2/app/manifests/1");
  await response.body?.cancel();
  assertEquals(response.headers.get("docker-content-digest"), digestOf(new TextEncoder().encode("{}")));
});

test("a mirror that tells no digest in answer to HEAD is asked for the manifest", async ({ endpoint, first }) => {
  first.respond = ({ method }) => new Response(method === "HEAD" ? null : "{}");
  const response = await endpoint.ask("gcr.io", "/v2/app/manifests/1", { method: "HEAD" });
  assertEquals([response.status, await response.text()], [200, ""]);
  assertEquals(response.headers.get("docker-content-digest"), digestOf(new TextEncoder().encode("{}")));
  assertEquals(first.requests, ["HEAD /v2/gcr/app/manifests/1", "GET /v2/gcr/app/manifests/1"]);
});

test("a digest that a tag must not have is 404 with the reason", async ({ endpoint, first }) => {
  const { digest } = first.put("gcr/app:1");
  for (const method of ["HEAD", "GET"]) {
    const response = await endpoint.ask("gcr.io", "/v2/app/manifests/1", { method });
    assertEquals(response.status, 404);
    if (method === "GET") assertEquals((await errorOf(response)).message, "gilly: refused: it changed");
  }
  assertEquals((await endpoint.ask("gcr.io", `/v2/app/manifests/${digest}`, { method: "HEAD" })).status, 200);
}, { veto: () => "refused: it changed" });

test("nothing but reading is allowed", async ({ endpoint, first }) => {
  for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
    const response = await endpoint.ask("gcr.io", "/v2/app/manifests/1", { method });
    assertEquals(await errorOf(response), { status: 405, code: "UNSUPPORTED", message: "gilly: use GET or HEAD" });
  }
  assertEquals(first.requests, []);
});

test("a request that comes back through a mirror is 508", async ({ endpoint, first }) => {
  first.respond = ({ headers }) => endpoint.ask("gcr.io", "/v2/app/manifests/1", { headers });
  const direct = await endpoint.ask("gcr.io", "/v2/app/manifests/1", { headers: { via: "1.1 other, 1.1 gilly" } });
  assertEquals(direct.status, 508);
  await direct.body?.cancel();
  const { status, message } = await errorOf(await endpoint.ask("gcr.io", "/v2/app/manifests/1"));
  assertEquals(status, 429);
  assertStringIncludes(message, "answered 508, UNSUPPORTED: gilly: a mirror of a rule leads back to this proxy");
  assertEquals(first.requests.length, 1);
});

test("a pull is reported once, by its tag", async ({ endpoint, first }) => {
  const { digest, layers } = first.put("gcr/app:1", [new Uint8Array(1000), new Uint8Array(500)]);
  await endpoint.ask("gcr.io", "/v2/app/manifests/1", { method: "HEAD" });
  for (const path of [`manifests/${digest}`, ...layers.map((layer) => `blobs/${layer}`)]) {
    await (await endpoint.ask("gcr.io", `/v2/app/${path}`)).arrayBuffer();
  }
  endpoint.endPulls();
  assertEquals(endpoint.heard, [`serving gcr.io/app:1 from ${first.host}/gcr/app@${digest}`]);
  const [pull, ...others] = endpoint.served;
  assertEquals(others, []);
  assertEquals([pull!.target.image, pull!.digest, pull!.bytes, pull!.resumed], ["gcr.io/app:1", digest, 1500, 0]);
});
