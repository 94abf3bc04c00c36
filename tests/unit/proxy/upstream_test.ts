// Tests lib/proxy/upstream.ts and lib/proxy/authorization.ts: credentials, redirects and schemes.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { RegistryAuth } from "../../../lib/images/registry.ts";
import { MirrorClients } from "../../../lib/proxy/trust.ts";
import { Upstream, UpstreamError } from "../../../lib/proxy/upstream.ts";
import { type FakeMirror, registryError, startMirror } from "../../fakes/mirror.ts";

const USER = { username: "alice", password: "wonder:land" } as const;
const BASIC = `Basic ${btoa("alice:wonder:land")}`;

interface Bench {
  readonly mirror: FakeMirror;
  readonly other: FakeMirror;
  readonly clock: { now: number };
  /** Requests the manifest of app:1 and returns the text of the answer. */
  ask(auth?: RegistryAuth, signal?: AbortSignal): Promise<string>;
}

function test(name: string, run: (bench: Bench) => Promise<void>): void {
  Deno.test(name, async () => {
    const [mirror, other] = [startMirror(), startMirror()];
    const clock = { now: Date.now() };
    const clients = new MirrorClients(() => clock.now, ["/nonexistent"]);
    const upstream = new Upstream({ clients, headersTimeoutMs: 5000, now: () => clock.now });
    const ask: Bench["ask"] = async (auth, signal = new AbortController().signal) => {
      const resource = "manifests/1";
      const request = { mirror: mirror.host, repository: "app", resource, method: "GET", headers: {}, auth } as const;
      return await (await upstream.request({ ...request, signal })).text();
    };
    mirror.put("app:1");
    try {
      await run({ mirror, other, clock, ask });
    } finally {
      clients.close();
      await Promise.all([mirror.stop(), other.stop()]);
    }
  });
}

function asked({ requests, headers }: FakeMirror): string[] {
  return requests.map((request, index) => `${request} ${headers[index]!.get("authorization") ?? "-"}`);
}

function challenge(value: string): Response {
  return registryError(401, "UNAUTHORIZED", "authentication required", { "www-authenticate": value });
}

test("a mirror is asked with Basic credentials once it has asked for them", async ({ mirror, ask }) => {
  mirror.respond = ({ headers }, serve) =>
    headers.get("authorization") === BASIC ? serve() : challenge('Basic realm="x"');
  await ask(USER);
  await ask(USER);
  const path = "GET /v2/app/manifests/1";
  assertEquals(asked(mirror), [`${path} -`, `${path} ${BASIC}`, `${path} ${BASIC}`]);
});

test("a token is asked for once, and again when it expires", async ({ mirror, other, clock, ask }) => {
  const url = `http://${other.host}/token`;
  other.respond = () => Response.json({ token: "t", expires_in: 100 });
  mirror.respond = ({ headers }, serve) =>
    headers.get("authorization") === "Bearer t"
      ? serve()
      : challenge(`Bearer realm="${url}",service="s",scope="repository:app:pull"`);
  await ask(USER);
  await ask(USER);
  assertEquals(asked(other), [`GET /token ${BASIC}`]);
  clock.now += 91_000;
  await ask(USER);
  assertEquals(other.requests.length, 2);
});

test("a token is asked for without credentials where there are none", async ({ mirror, other, ask }) => {
  other.respond = () => Response.json({ access_token: "t" });
  mirror.respond = ({ headers }, serve) =>
    headers.get("authorization") === "Bearer t" ? serve() : challenge(`Bearer realm="http://${other.host}/token"`);
  await ask();
  assertEquals(asked(other), ["GET /token -"]);
});

test("an identity token is exchanged, and never sent to the mirror", async ({ mirror, other, ask }) => {
  const forms: string[] = [];
  other.respond = async (request) => {
    forms.push(await request.text());
    return Response.json({ access_token: "t" });
  };
  mirror.respond = ({ headers }, serve) =>
    headers.get("authorization") === "Bearer t"
      ? serve()
      : challenge(`Bearer realm="http://${other.host}/token",service="s"`);
  await ask({ identitytoken: "refresh-me" });
  assertEquals(forms, ["grant_type=refresh_token&refresh_token=refresh-me&client_id=gilly&service=s"]);
  assertEquals(asked(mirror).filter((it) => it.includes("refresh-me")), []);
});

test("a token that the mirror no longer accepts is renewed", async ({ mirror, other, ask }) => {
  let current = 0;
  other.respond = () => Response.json({ token: `t${++current}`, expires_in: 3600 });
  mirror.respond = ({ headers }, serve) =>
    current > 0 && headers.get("authorization") === `Bearer t${current}`
      ? serve()
      : challenge(`Bearer realm="http://${other.host}/token"`);
  await ask(USER);
  current++;
  await ask(USER);
  assertEquals(other.requests.length, 2);
});

test("other credentials get another token", async ({ mirror, other, ask }) => {
  other.respond = ({ headers }) => Response.json({ token: headers.has("authorization") ? "alice" : "anyone" });
  mirror.respond = ({ headers }, serve) =>
    headers.has("authorization") ? serve() : challenge(`Bearer realm="http://${other.host}/token"`);
  await ask(USER);
  await ask();
  assertEquals(mirror.headers.map((it) => it.get("authorization")), [null, "Bearer alice", null, "Bearer anyone"]);
});

test("a refusal says what the mirror says, and no secret", async ({ mirror, ask }) => {
  mirror.respond = ({ headers }) =>
    headers.has("authorization")
      ? registryError(403, "DENIED", `${USER.password} is not welcome`)
      : challenge('Basic realm="x"');
  const error = await assertRejects(() => ask(USER), UpstreamError);
  assertEquals(error.kind, "denied");
  assertStringIncludes(error.message, `GET ${mirror.host}/app manifests/1: answered 403, DENIED:`);
  assert(!error.message.includes(USER.password));
  mirror.respond = ({ headers }) => registryError(403, "DENIED", `no: ${headers.get("authorization")}`);
  const echo = await assertRejects(() => ask(USER), UpstreamError, "DENIED: no: Basic …");
  assert(!echo.message.includes(BASIC.slice("Basic ".length)));
});

test("a token that the mirror repeats is not told, whoever it was for", async ({ mirror, other, ask }) => {
  other.respond = () => Response.json({ token: "opaque-token" });
  mirror.respond = ({ headers }) =>
    headers.has("authorization")
      ? registryError(403, "DENIED", `no: ${headers.get("authorization")}`)
      : challenge(`Bearer realm="http://${other.host}/token"`);
  await assertRejects(() => ask(), UpstreamError, "DENIED: no: Bearer …");
  await assertRejects(() => ask(USER), UpstreamError, "DENIED: no: Bearer …");
});

test("a redirect is followed, without credentials to another host", async ({ mirror, other, ask }) => {
  other.respond = () => new Response("the blob");
  mirror.respond = ({ headers, url }) => {
    if (new URL(url).pathname === "/here") return Response.redirect(`http://${other.host}/there?signature=1`, 307);
    return headers.has("authorization")
      ? new Response(null, { status: 302, headers: { location: "/here" } })
      : challenge('Basic realm="x"');
  };
  assertEquals(await ask(USER), "the blob");
  assertEquals(asked(mirror).at(-1), `GET /here ${BASIC}`);
  assertEquals(asked(other), ["GET /there -"]);
});

test("redirects without an end, or to nowhere, are failures of the mirror", async ({ mirror, ask }) => {
  mirror.respond = () => new Response(null, { status: 302, headers: { location: "/again" } });
  const endless = await assertRejects(() => ask(), UpstreamError, "more than 5 redirects");
  assertEquals(endless.kind, "registry-error");
  mirror.respond = () => new Response(null, { status: 302, headers: { location: "ftp://x/" } });
  await assertRejects(() => ask(), UpstreamError, "a redirect from http: to ftp:");
});

test("a redirect to a sign-in page ends at what is no registry", async ({ mirror, ask }) => {
  mirror.respond = ({ url }) =>
    new URL(url).pathname === "/login"
      ? new Response("<html>Sign in", { headers: { "content-type": "text/html; charset=utf-8" } })
      : new Response(null, { status: 302, headers: { location: "/login" } });
  const error = await assertRejects(() => ask(), UpstreamError, "answered 200, a web page");
  assertEquals(error.kind, "not-a-registry");
});

test("when to ask again is taken from the answer", async ({ mirror, ask }) => {
  for (const status of [404, 429, 503]) {
    mirror.respond = () => new Response("<html>", { status, headers: { "retry-after": "90" } });
    const error = await assertRejects(() => ask(), UpstreamError);
    assertEquals(error.retryAfterSeconds, 90);
  }
});

const TOKENS: readonly (readonly [what: string, answer: () => Response, kind: string, told: string])[] = [
  ["refuses", () => registryError(401, "UNAUTHORIZED", "wrong password"), "denied", "answered 401, UNAUTHORIZED"],
  ["knows no such client", () => Response.json({ error: "invalid_grant" }, { status: 400 }), "denied", "answered 401"],
  ["is not there", () => registryError(404, "NOT_FOUND", "no"), "not-a-registry", "/token, answered 404"],
  ["is a page", () => new Response("<html>"), "not-a-registry", "/token, answered 200, a web page"],
  ["refuses with a page", () => new Response("<html>", { status: 403 }), "not-a-registry", "answered 403, a web page"],
  ["gives no JSON", () => new Response("token"), "not-a-registry", "/token, answered 200"],
  ["breaks", () => new Response("", { status: 503 }), "registry-error", "/token, answered 503"],
  ["is busy", () => new Response("", { status: 429 }), "rate-limited", "/token, answered 429"],
];

for (const [what, answer, kind, told] of TOKENS) {
  test(`a token server that ${what} makes the mirror ${kind}`, async ({ mirror, other, ask }) => {
    other.respond = answer;
    mirror.respond = () => challenge(`Bearer realm="http://${other.host}/token",service="s"`);
    const error = await assertRejects(() => ask(USER), UpstreamError, told);
    assertEquals(error.kind, kind);
    assert(!error.message.includes("alice"), error.message);
  });
}

test("a mirror that is not there is down", async ({ mirror, ask }) => {
  await mirror.stop();
  const error = await assertRejects(() => ask(), UpstreamError, "Connection refused");
  assertEquals(error.kind, "registry-down");
});

test("a request that is no longer wanted ends with the reason", async ({ mirror, ask }) => {
  const stop = new AbortController();
  mirror.respond = () => {
    stop.abort(new Error("not wanted"));
    return new Promise(() => {});
  };
  await assertRejects(() => ask(undefined, stop.signal), Error, "not wanted");
});
