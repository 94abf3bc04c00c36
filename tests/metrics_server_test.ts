import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { type Exhibits, type MetricsServer, MetricsServerError, serveMetrics } from "../lib/metrics_server.ts";

const LOOPBACK = { hostname: "127.0.0.1", port: 0 };
const EXHIBITS: Exhibits = {
  contentType: "text/plain; version=0.0.4; charset=utf-8",
  render: () => Promise.resolve("gilly_pods 12\n"),
  health: () => ({ healthy: true, sentence: "ok: the loop made progress 2 s ago" }),
};

/** A server for the length of a test; nobody it leaves connected may outlive it. */
async function withServer(exhibits: Partial<Exhibits>, test: (server: MetricsServer) => Promise<void>): Promise<void> {
  const server = serveMetrics(LOOPBACK, { ...EXHIBITS, ...exhibits });
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
    assertEquals(response.headers.get("content-type"), EXHIBITS.contentType);
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

Deno.test("HEAD answers as GET does, without a body", async () => {
  await withServer({}, async ({ url }) => {
    for (const path of ["/metrics", "/healthz"]) {
      const response = await fetch(url + path, { method: "HEAD" });
      assertEquals([response.status, await response.text()], [200, ""]);
    }
  });
});

Deno.test("there is nothing else to ask, and no other way to ask", async () => {
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
    assertEquals([refused.headers.get("allow"), await refused.text()], ["GET, HEAD", "only GET and HEAD\n"]);
  });
});

Deno.test("what cannot be collected is an answer of 500 and no crash", async () => {
  let broken = true;
  const render = () => broken ? Promise.reject(new Error("out of numbers")) : EXHIBITS.render();
  await withServer({ render }, async ({ url }) => {
    const response = await fetch(`${url}/metrics`);
    assertEquals([response.status, await response.text()], [500, "the metrics cannot be collected: out of numbers\n"]);
    broken = false;
    assertEquals(await (await fetch(`${url}/metrics`)).text(), "gilly_pods 12\n");
  });
});

Deno.test("a port that is taken is an error that names the address", async () => {
  await withServer({}, ({ url }) => {
    const port = Number(new URL(url).port);
    const error = assertThrows(() => serveMetrics({ ...LOOPBACK, port }, EXHIBITS), MetricsServerError);
    assertStringIncludes(error.message, `cannot serve metrics on ${url}: Address already in use`);
    return Promise.resolve();
  });
});

Deno.test("an address of another host is an error that names it", () => {
  const error = assertThrows(
    () => serveMetrics({ hostname: "192.0.2.1", port: 9464 }, EXHIBITS),
    MetricsServerError,
  );
  assertMatch(error.message, /^cannot serve metrics on http:\/\/192\.0\.2\.1:9464: Cannot assign requested address/);
});

Deno.test("closing lets go of the port at once, although a client stays connected", async () => {
  const server = serveMetrics(LOOPBACK, EXHIBITS);
  const port = Number(new URL(server.url).port);
  using client = await Deno.connect({ hostname: "127.0.0.1", port });
  await client.write(new TextEncoder().encode("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
  assert(await client.read(new Uint8Array(4096)) !== null);
  await server.close();
  const again = serveMetrics({ ...LOOPBACK, port }, EXHIBITS);
  assertEquals(again.url, server.url);
  await again.close();
});
