import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import {
  type MetricsHandler,
  type MetricsServer,
  MetricsServerError,
  serveMetrics,
} from "../../../lib/metrics/server.ts";
import { exchange } from "../../support/raw_http.ts";

const LOOPBACK = { hostname: "127.0.0.1", port: 0 };
const HANDLER: MetricsHandler = {
  contentType: "text/plain; version=0.0.4; charset=utf-8",
  render: () => Promise.resolve("gilly_pods 12\n"),
  health: () => ({ healthy: true, sentence: "ok: the loop made progress 2 s ago" }),
};

/** Runs a test with a server, and closes the server with all its connections afterwards. */
async function withServer(
  handler: Partial<MetricsHandler>,
  test: (server: MetricsServer) => Promise<void>,
): Promise<void> {
  const server = serveMetrics(LOOPBACK, { ...HANDLER, ...handler });
  try {
    await test(server);
  } finally {
    await server.close();
  }
}

Deno.test("/metrics answers with the text and its media type", async () => {
  await withServer({}, async ({ url }) => {
    const response = await fetch(`${url}/metrics?name[]=up`);
    assertEquals([response.status, await response.text()], [200, "gilly_pods 12\n"]);
    assertEquals(response.headers.get("content-type"), HANDLER.contentType);
  });
});

Deno.test("/healthz answers 200 while the loop makes progress and 503 when it hangs", async () => {
  let healthy = true;
  await withServer({ health: () => ({ healthy, sentence: healthy ? "ok" : "hangs" }) }, async ({ url }) => {
    const good = await fetch(`${url}/healthz`);
    assertEquals([good.status, await good.text()], [200, "ok\n"]);
    healthy = false;
    const bad = await fetch(`${url}/healthz`);
    assertEquals([bad.status, await bad.text()], [503, "hangs\n"]);
  });
});

Deno.test("HEAD answers like GET, without a body", async () => {
  await withServer({}, async ({ url }) => {
    for (const path of ["/metrics", "/healthz"]) {
      const response = await fetch(url + path, { method: "HEAD" });
      assertEquals([response.status, await response.text()], [200, ""]);
    }
  });
});

Deno.test("any other path is 404 and any other method is 405", async () => {
  await withServer({}, async ({ url }) => {
    const statusOf = async (path: string, method = "GET") => {
      const response = await fetch(url + path, { method });
      await response.body?.cancel();
      return response.status;
    };
    for (const path of ["/", "/metrics/", "/metrics/../x", "/debug/pprof", "//metrics", "/healthz%00"]) {
      assertEquals(await statusOf(path), 404, path);
    }
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      assertEquals(await statusOf("/metrics", method), 405, method);
    }
    const refused = await fetch(`${url}/healthz`, { method: "POST" });
    assertEquals([refused.headers.get("allow"), await refused.text()], [
      "GET, HEAD",
      "method not allowed (use GET or HEAD)\n",
    ]);
  });
});

Deno.test("a failure to collect the metrics is answered with 500, and the server continues", async () => {
  let broken = true;
  const render = () => broken ? Promise.reject(new Error("out of numbers")) : HANDLER.render();
  await withServer({ render }, async ({ url }) => {
    const response = await fetch(`${url}/metrics`);
    assertEquals([response.status, await response.text()], [500, "the metrics cannot be collected: out of numbers\n"]);
    broken = false;
    assertEquals(await (await fetch(`${url}/metrics`)).text(), "gilly_pods 12\n");
  });
});

Deno.test("a port in use is an error that names the address", async () => {
  await withServer({}, ({ url }) => {
    const port = Number(new URL(url).port);
    const error = assertThrows(() => serveMetrics({ ...LOOPBACK, port }, HANDLER), MetricsServerError);
    assertStringIncludes(error.message, `cannot serve metrics on ${url}: Address already in use`);
    return Promise.resolve();
  });
});

Deno.test("an address of another host is an error that names it", () => {
  const error = assertThrows(
    () => serveMetrics({ hostname: "192.0.2.1", port: 9464 }, HANDLER),
    MetricsServerError,
  );
  assertMatch(error.message, /^cannot serve metrics on http:\/\/192\.0\.2\.1:9464: Cannot assign requested address/);
});

Deno.test("closing frees the port immediately, even while a client is connected", async () => {
  const server = serveMetrics(LOOPBACK, HANDLER);
  const port = Number(new URL(server.url).port);
  using client = await Deno.connect({ hostname: "127.0.0.1", port });
  await client.write(new TextEncoder().encode("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
  assert(await client.read(new Uint8Array(4096)) !== null);
  await server.close();
  const again = serveMetrics({ ...LOOPBACK, port }, HANDLER);
  assertEquals(again.url, server.url);
  await again.close();
});

/** Sends the bytes and returns what the server answers until it closes, which may be nothing. */
async function answerTo(server: MetricsServer, text: string): Promise<string> {
  return await exchange(Number(new URL(server.url).port), text).catch(() => "");
}

Deno.test("each request gets a complete answer with its length, in whatever form it is written", async () => {
  await withServer({}, async (server) => {
    const whole =
      "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\ncache-control: no-store\r\n" +
      "content-length: 14\r\nconnection: close\r\n\r\n";
    for (const target of ["/metrics", "/metrics?a=/healthz", "http://worker-1:9464/metrics"]) {
      assertEquals(
        await answerTo(server, `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`),
        `${whole}gilly_pods 12\n`,
        target,
      );
    }
    assertEquals(await answerTo(server, "GET /metrics HTTP/1.0\n\n"), `${whole}gilly_pods 12\n`);
    assertEquals(await answerTo(server, "HEAD /metrics HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n"), whole);
  });
});

Deno.test("an invalid request is answered with 400, one that is too long with 431", async () => {
  await withServer({}, async (server) => {
    for (const text of ["hello\n\n", "GET /metrics\r\n\r\n", "\x16\x03\x01\n\n", "GET /metrics HTTP/2\r\n\r\n"]) {
      assertMatch(await answerTo(server, text), /^HTTP\/1\.1 400 Bad Request\r\n/, text);
    }
    const long = `GET /metrics HTTP/1.1\r\nX: ${"x".repeat(16 * 1024)}`.slice(0, 16 * 1024);
    assertMatch(await answerTo(server, long), /^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
  });
});

Deno.test("a client that sends no complete request in time is dropped, even if it keeps sending bytes", async () => {
  const server = serveMetrics(LOOPBACK, HANDLER, undefined, { requestMs: 100 });
  using client = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(server.url).port) });
  const dropped = client.read(new Uint8Array(1)).catch(() => null);
  let sent = 0;
  const trickle = setInterval(() => {
    client.write(new TextEncoder().encode("x")).then(() => sent++, () => {});
  }, 10);
  assertEquals(await dropped, null);
  clearInterval(trickle);
  assert(sent > 0, "it was dropped before it sent anything");
  await server.close();
});

Deno.test("the oldest connection is dropped for a new one, which is answered", async () => {
  const server = serveMetrics(LOOPBACK, HANDLER, undefined, { connections: 3 });
  const port = Number(new URL(server.url).port);
  const idle = [];
  for (let number = 0; number < 3; number++) idle.push(await Deno.connect({ hostname: "127.0.0.1", port }));
  assertEquals(await (await fetch(`${server.url}/metrics`)).text(), "gilly_pods 12\n");
  assertEquals(await idle[0]!.read(new Uint8Array(1)).catch(() => null), null);
  await idle[2]!.write(new TextEncoder().encode("GET /healthz HTTP/1.1\r\n\r\n"));
  const answer = new Uint8Array(12);
  await idle[2]!.read(answer);
  assertEquals(new TextDecoder().decode(answer), "HTTP/1.1 200");
  for (const client of idle) client.close();
  await server.close();
});
