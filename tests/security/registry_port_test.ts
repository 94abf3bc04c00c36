// A hostile client of the registry proxy's port gets a 4xx and nothing else: no file, no image
// outside the rules, no credentials, and no other client is kept out.

import { assert, assertEquals, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import type { Gilly } from "../e2e/gilly.ts";
import { scenario } from "../scenarios/scenario.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { openProxyBench, type ProxyBench } from "../support/proxy_bench.ts";

interface Scene extends ProxyBench {
  readonly gilly: Gilly;
  readonly digest: string;
}

async function startScene(): Promise<Scene> {
  await using parts = new AsyncDisposableStack();
  const bench = parts.use(await openProxyBench());
  const { host } = bench.mirror;
  await bench.configure(
    `{gcr.io: ${host}/team, "gcr.io/private": ${host}/private}`,
    'exclude: {images: ["gcr.io/private/**"]}',
  );
  const { digest } = bench.mirror.put("team/app:1");
  const gilly = await bench.start();
  parts.move();
  return { ...bench, gilly, digest };
}

/** Sends a text and returns everything that comes back, as latin1. */
async function exchange(scene: Scene, text: string): Promise<string> {
  using connection = await scene.connect();
  const sent = writeAll(connection, text).catch(() => {
    // It may answer and close before it has read everything.
  });
  const parts: string[] = [];
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const count = await connection.read(buffer).catch(() => null);
    if (count === null) break;
    parts.push(String.fromCharCode(...buffer.subarray(0, Math.min(count, 4096))));
  }
  await sent;
  return parts.join("");
}

async function writeAll(connection: Deno.TlsConn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

const request = (line: string, headers: readonly string[] = []) =>
  `${line} HTTP/1.1\r\nHost: gcr.io\r\n${headers.map((header) => `${header}\r\n`).join("")}\r\n`;

async function serves(scene: Scene): Promise<void> {
  const answer = await exchange(scene, request(`GET /v2/app/manifests/${scene.digest}`));
  assert(answer.startsWith("HTTP/1.1 200 "), answer.slice(0, 200));
}

const blob = (name: string) => `/v2/${name}/blobs/sha256:${"a".repeat(64)}`;

/** Requests, each of which must be refused before any mirror hears of it. */
const HOSTILE: Readonly<Record<string, string>> = {
  "..": request("GET /v2/../../etc/shadow"),
  "%2e%2e": request("GET /v2/%2e%2e/%2e%2e/etc/shadow/manifests/1"),
  "encoded slashes": request("GET /v2/app%2fother/manifests/1"),
  "encoded slashes in a name of two": request("GET /v2/..%2f..%2fapp/manifests/1"),
  "backslashes": request("GET /v2/..\\..\\app/manifests/1"),
  "a double slash": request("GET /v2//app/manifests/1"),
  "a tag that is a path": request("GET /v2/app/manifests/../../x"),
  "a name in capitals": request("GET /v2/App/manifests/1"),
  "a name of 300 characters": request(`GET /v2/${"a".repeat(300)}/manifests/1`),
  "a digest that is none": request("GET /v2/app/blobs/sha256:../../x"),
  "an unknown algorithm": request(`GET /v2/app/blobs/md5:${"a".repeat(32)}`),
  "a registry outside the rules": request("GET /v2/app/manifests/1").replace("gcr.io", "ghcr.io"),
  "a registry outside the rules, by ns": request("GET /v2/app/manifests/1?ns=ghcr.io"),
  "a mirror's own name, by ns": request("GET /v2/app/manifests/1?ns=127.0.0.1:1"),
  "an excluded image": request("GET /v2/private/app/manifests/1"),
  "an excluded image's blob": request(`GET ${blob("private/app")}`),
  "a Host with a path": request("GET /v2/app/manifests/1").replace("gcr.io", "gcr.io/../ghcr.io"),
  "no Host": "GET /v2/app/manifests/1 HTTP/1.1\r\n\r\n",
  "a push": request("PUT /v2/app/manifests/1", ["Content-Length: 2"]) + "{}",
  "an upload": request("POST /v2/app/blobs/uploads/"),
  "a deletion": request("DELETE /v2/app/manifests/1"),
  "the catalog": request("GET /v2/_catalog"),
  "the tags": request("GET /v2/app/tags/list"),
  "the metrics": request("GET /metrics"),
  "CONNECT": request("CONNECT gcr.io:443"),
  "a URL of another host": request("GET http://169.254.169.254/latest/meta-data/"),
  "no HTTP at all": "\x16\x03\x01\x00\r\n\r\n",
  "a NUL": request("GET /v2/app\0/manifests/1"),
  "endless headers": `GET /v2/ HTTP/1.1\r\n${"X: y\r\n".repeat(200_000)}\r\n`,
  "an endless line": `GET /v2/${"a".repeat(1_000_000)} HTTP/1.1\r\n\r\n`,
};

const standIn = (what: string, holds: string) => ({
  subject: "registry port",
  what,
  means: "stand-in" as const,
  holds,
});

scenario(
  standIn(
    `${Object.keys(HOSTILE).length} requests: ${Object.keys(HOSTILE).slice(0, 5).join(", ")}, …`,
    "a 4xx each, no mirror hears of any, the next client is served",
  ),
  async () => {
    await using scene = await startScene();
    for (const [what, text] of Object.entries(HOSTILE)) {
      const answer = await exchange(scene, text);
      assert(/^HTTP\/1\.1 4\d\d /.test(answer), `${what}: ${answer.slice(0, 200)}`);
      assert(!/root:|BEGIN|password/i.test(answer), what);
    }
    assertEquals(scene.mirror.requests, []);
    await serves(scene);
    assertEquals((await scene.gilly.end("SIGTERM")).code, 0);
  },
);

const CONNECTIONS = 10_000;

function descriptorsOf({ gilly }: Scene): number {
  return [...Deno.readDirSync(`/proc/${gilly.pid}/fd`)].length;
}

/** Megabytes, of MemoryMax= in systemd/gilly-proxy.service. */
const MEMORY_MAX = 256;

scenario(
  standIn(
    "10,000 connections at once: half a request, half a handshake, or silence",
    "pulls are served meanwhile, in the memory of the unit, and all descriptors come back",
  ),
  async () => {
    await using scene = await startScene();
    const open: Deno.TcpConn[] = [];
    const beginnings = ["GET /v2/ HTTP/1.1\r\nX: ", "\x16\x03\x01\x02", ""].map((text) =>
      new TextEncoder().encode(text)
    );
    try {
      for (let number = 0; number < CONNECTIONS; number++) {
        const connection = await Deno.connect({ hostname: "127.0.0.1", port: scene.port });
        open.push(connection);
        // It may have closed the connection already.
        await connection.write(beginnings[number % beginnings.length]!).catch(() => {});
        if (number % 2500 === 2000) await serves(scene);
      }
      await serves(scene);
      const status = await Deno.readTextFile(`/proc/${scene.gilly.pid}/status`);
      const anonymous = Number(/^RssAnon:\s*(\d+)/m.exec(status)![1]) / 1024;
      console.log(
        `${CONNECTIONS} connections: ${anonymous.toFixed(0)} MB anonymous, ${descriptorsOf(scene)} descriptors`,
      );
      assertLess(anonymous, MEMORY_MAX);
    } finally {
      for (const connection of open) connection.close();
    }
    await serves(scene);
    const giveUp = AbortSignal.timeout(PATIENCE_MS);
    while (descriptorsOf(scene) > 100) {
      giveUp.throwIfAborted();
      await delay(100);
    }
    assertEquals((await scene.gilly.end("SIGTERM")).code, 0);
  },
);

scenario(
  standIn(
    "credentials in the request: Basic, Bearer, a cookie, a query",
    "no mirror sees them, and none is in the log",
  ),
  async () => {
    await using scene = await startScene();
    const secret = "marked-secret-of-a-client";
    const headers = [`Authorization: Bearer ${secret}`, `Cookie: a=${secret}`, `X-Registry-Auth: ${secret}`];
    const answer = await exchange(scene, request(`GET /v2/app/manifests/${scene.digest}?token=${secret}`, headers));
    assert(answer.startsWith("HTTP/1.1 200 "), answer.slice(0, 200));
    const basic = `Authorization: Basic ${btoa(`mallory:${secret}`)}`;
    await exchange(scene, request("GET /v2/", [basic]));
    const heard = scene.mirror.headers.map((it) => JSON.stringify([...it])).join("\n") +
      scene.mirror.requests.join("\n");
    for (const piece of [secret, btoa(`mallory:${secret}`)]) assert(!heard.includes(piece), heard);
    await scene.gilly.end("SIGTERM");
    assert(!scene.gilly.journal.join("\n").includes(secret));
  },
);
