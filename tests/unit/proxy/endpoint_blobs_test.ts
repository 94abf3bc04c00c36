// Tests lib/proxy/blobs.ts and lib/proxy/transfer.ts: a blob arrives complete and right, from as
// many mirrors as it takes.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { type EndpointOptions, startEndpoint, type TestEndpoint } from "../../fakes/endpoint.ts";
import {
  brokenAfter,
  type FakeMirror,
  registryError,
  type Respond,
  someBytes,
  startMirror,
} from "../../fakes/mirror.ts";

const BLOB = someBytes(3_000_000);

interface Bench {
  readonly endpoint: TestEndpoint;
  readonly mirrors: readonly FakeMirror[];
  readonly first: FakeMirror;
  readonly second: FakeMirror;
  /** The path of the blob that both mirrors have. */
  readonly path: string;
}

/** Runs a test with two mirrors that have the same blob. */
function test(name: string, run: (bench: Bench) => Promise<void>, options: Partial<EndpointOptions> = {}): void {
  Deno.test(name, async () => {
    const mirrors = [startMirror(), startMirror()] as const;
    const [first, second] = mirrors;
    const [digest] = mirrors.map((mirror) => mirror.put("app:1", [BLOB]).layers[0]);
    try {
      const rule = { origin: "gcr.io", mirrors: mirrors.map(({ host }) => host) };
      await using endpoint = startEndpoint({ registries: [rule], ...options });
      await run({ endpoint, mirrors, first, second, path: `/v2/app/blobs/${digest}` });
    } finally {
      await Promise.all(mirrors.map((mirror) => mirror.stop()));
    }
  });
}

async function bytesOf(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await response.arrayBuffer());
}

/** Returns the byte from which a mirror was last asked. */
function resumedAt({ headers }: FakeMirror): number {
  return Number(/^bytes=(\d+)-$/.exec(headers.at(-1)!.get("range") ?? "")?.[1]);
}

/** Answers the request for the blob with its first bytes only. */
function breaking(at: number, how: "cut" | "hangs"): Respond {
  return (_, serve) => brokenAfter(at, serve(), how);
}

test("a blob comes from the first mirror, with its size", async ({ endpoint, first, second, path }) => {
  const head = await endpoint.ask("gcr.io", path, { method: "HEAD" });
  assertEquals([head.status, await head.text()], [200, ""]);
  const get = await endpoint.ask("gcr.io", path);
  assertEquals(await bytesOf(get), BLOB);
  for (const { headers } of [head, get]) {
    assertEquals([headers.get("content-length"), headers.get("accept-ranges")], [String(BLOB.length), "bytes"]);
  }
  assertEquals([first.requests.length, second.requests], [2, []]);
});

const RANGES: readonly (readonly [header: string, from: number, end: number])[] = [
  ["bytes=100-", 100, BLOB.length],
  ["bytes=0-99", 0, 100],
  ["bytes=100-199", 100, 200],
  [`bytes=2999990-9999999`, 2_999_990, BLOB.length],
];

for (const [header, from, end] of RANGES) {
  test(`the range ${header} of a blob is served`, async ({ endpoint, path }) => {
    const response = await endpoint.ask("gcr.io", path, { headers: { range: header } });
    assertEquals(response.headers.get("content-range"), `bytes ${from}-${end - 1}/${BLOB.length}`);
    assertEquals([response.status, await bytesOf(response)], [206, BLOB.subarray(from, end)]);
  });
}

for (const header of ["bytes=-100", "bytes=1-2,4-5", "bytes=9-3", "lines=1-2"]) {
  test(`the range ${header}, which no runtime sends, is the complete blob`, async ({ endpoint, path }) => {
    const response = await endpoint.ask("gcr.io", path, { headers: { range: header } });
    assertEquals([response.status, (await bytesOf(response)).length], [200, BLOB.length]);
  });
}

for (const how of ["cut", "hangs"] as const) {
  test(`a mirror that ${how} within a blob is continued by the next one`, async (bench) => {
    const { endpoint, first, second, path } = bench;
    first.respond = breaking(1_000_000, how);
    const response = await endpoint.ask("gcr.io", path);
    assertEquals(await bytesOf(response), BLOB);
    // What was under way when the connection broke is lost.
    const at = resumedAt(second);
    assert(at > 0 && at <= 1_000_000);
    const failure = how === "cut" ? "registry-down" : "stalled";
    assertMatch(endpoint.heard[0]!, new RegExp(`^${first.host}/app@sha256:[0-9a-f]{64}: ${failure}$`));
    assertEquals(endpoint.heard[1], `${second.host} continues at ${at}`);
  }, { stallTimeoutMs: 200 });
}

test("a mirror that ignores ranges continues at the right byte", async ({ endpoint, first, second, path }) => {
  first.respond = breaking(1_000_000, "cut");
  second.respond = () => new Response(BLOB, { headers: { "content-length": String(BLOB.length) } });
  assertEquals(await bytesOf(await endpoint.ask("gcr.io", path)), BLOB);
});

test("a range is continued by the next mirror too", async ({ endpoint, first, second, path }) => {
  first.respond = breaking(500_000, "cut");
  const response = await endpoint.ask("gcr.io", path, { headers: { range: "bytes=1000000-" } });
  assertEquals(await bytesOf(response), BLOB.subarray(1_000_000));
  const at = resumedAt(second);
  assert(at > 1_000_000 && at <= 1_500_000);
});

test("a blob that every mirror breaks off ends short, and nothing is made up", async ({ endpoint, mirrors, path }) => {
  for (const mirror of mirrors) mirror.respond = breaking(1_000_000, "cut");
  const response = await endpoint.ask("gcr.io", path);
  await assertRejects(() => response.arrayBuffer(), Error);
  // The second began where the first stopped, so it got further.
  assertEquals(mirrors.map(({ requests }) => requests.length), [1, 1]);
});

test("a mirror that has another size cannot continue", async ({ endpoint, first, second, path }) => {
  first.respond = breaking(1_000_000, "cut");
  second.respond = () =>
    new Response(new Uint8Array(10), { status: 206, headers: { "content-range": "bytes 1000000-1000009/1000010" } });
  const response = await endpoint.ask("gcr.io", path);
  await assertRejects(() => response.arrayBuffer(), Error);
});

test("a repository whose blob has another digest cools down", async ({ endpoint, first, second, path }) => {
  first.respond = () => {
    const other = BLOB.slice();
    other[5] = 0;
    return new Response(other, { headers: { "content-length": String(other.length) } });
  };
  const wrong = await bytesOf(await endpoint.ask("gcr.io", path));
  assert(wrong[5] === 0, "the runtime sees for itself");
  const right = await bytesOf(await endpoint.ask("gcr.io", path));
  assertEquals(right, BLOB);
  assertEquals([first.requests.length, second.requests.length], [1, 1]);
  assertMatch(endpoint.heard[0]!, /: registry-error$/);
});

test("a repository goes on cooling down though its mirror answers what was asked of it before", async (bench) => {
  const { endpoint, first, second, path } = bench;
  const gate = Promise.withResolvers<void>();
  first.respond = async ({ url }, serve) => {
    if (url.includes("/blobs/")) return new Response(BLOB.map(() => 0), { headers: { "content-length": "3000000" } });
    await gate.promise;
    return serve();
  };
  const manifest = endpoint.ask("gcr.io", "/v2/app/manifests/1");
  await bytesOf(await endpoint.ask("gcr.io", path));
  gate.resolve();
  assert((await bytesOf(await manifest)).length > 0);
  assertEquals(await bytesOf(await endpoint.ask("gcr.io", path)), BLOB);
  assertEquals(second.requests.length, 1);
});

test("a blob that no mirror has is 404, and one that a mirror denies 429", async ({ endpoint, mirrors, path }) => {
  for (const mirror of mirrors) mirror.respond = () => registryError(404, "BLOB_UNKNOWN", "blob unknown");
  const missing = await endpoint.ask("gcr.io", path);
  assertEquals([missing.status, (await missing.json()).errors[0].code], [404, "BLOB_UNKNOWN"]);
  mirrors[1]!.respond = () => registryError(401, "UNAUTHORIZED", "log in");
  const denied = await endpoint.ask("gcr.io", path);
  assertEquals([denied.status, (await denied.json()).errors[0].code], [429, "TOOMANYREQUESTS"]);
});

test("a mirror that does not tell the size is left for the next one", async ({ endpoint, first, path }) => {
  first.respond = () => new Response(new ReadableStream({ pull: (it) => (it.enqueue(BLOB), it.close()) }));
  assertEquals(await bytesOf(await endpoint.ask("gcr.io", path)), BLOB);
  assertMatch(endpoint.heard[0]!, /: registry-error$/);
});

test("a client that leaves ends the request to the mirror", async ({ endpoint, first, path }) => {
  const canceled = Promise.withResolvers<void>();
  first.respond = () =>
    new Response(
      new ReadableStream({ pull: (it) => it.enqueue(new Uint8Array(1000)), cancel: () => canceled.resolve() }),
      {
        headers: { "content-length": "1000000000" },
      },
    );
  const leaving = new AbortController();
  const response = await endpoint.ask("gcr.io", path, { signal: leaving.signal });
  const reader = response.body!.getReader();
  await reader.read();
  leaving.abort();
  await canceled.promise;
  assertEquals(endpoint.heard, [], "nobody is blamed");
});

test("an empty blob is served", async ({ endpoint, first }) => {
  const { layers: [digest] } = first.put("empty:1", [new Uint8Array()]);
  const response = await endpoint.ask("gcr.io", `/v2/empty/blobs/${digest}`);
  assertEquals([response.status, await response.text()], [200, ""]);
});
