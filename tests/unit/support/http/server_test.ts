// Tests lib/support/http/server.ts where tests/unit/metrics/server_test.ts does not: streamed answers,
// headers, and a server that keeps the clients it is serving.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { HttpServer, type HttpServerOptions } from "../../../../lib/support/http/server.ts";
import type { Question } from "../../../../lib/support/http/wire.ts";
import { exchange } from "../../../support/raw_http.ts";

async function withServer(
  options: Partial<HttpServerOptions> & Pick<HttpServerOptions, "handle">,
  run: (port: number) => Promise<void>,
): Promise<void> {
  const server = new HttpServer({ hostname: "127.0.0.1", port: 0, ...options });
  try {
    await run(server.port);
  } finally {
    await server.close();
  }
}

Deno.test("a request arrives with its path and query as sent, and its headers by name", async () => {
  const seen: Question[] = [];
  const handle: HttpServerOptions["handle"] = async (question, reply) => {
    seen.push(question);
    await reply({ status: 200, headers: {}, body: "" });
  };
  await withServer({ handle }, async (port) => {
    await exchange(port, "GET /a/../%2e%2E?ns=x&y HTTP/1.1\r\nHost: a\r\nX-One:  b \r\nx-one:c\r\n\r\n");
  });
  const [{ method, path, query, headers } = {} as Question] = seen;
  assertEquals([method, path, query, [...headers]], ["GET", "/a/../%2e%2E", "ns=x&y", [["host", "a"], [
    "x-one",
    "b, c",
  ]]]);
});

Deno.test("an answer is streamed, one chunk at a time", async () => {
  const handle: HttpServerOptions["handle"] = (_, reply) =>
    reply({
      status: 200,
      headers: { "content-length": "6" },
      body: (async function* () {
        for (const part of ["on", "et", "wo"]) yield await Promise.resolve(new TextEncoder().encode(part));
      })(),
    });
  await withServer({ handle }, async (port) => {
    assertMatch(await exchange(port, "GET / HTTP/1.1\r\n\r\n"), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nonetwo$/);
  });
});

Deno.test("an answer that fails halfway ends the connection, and is not completed", async () => {
  const handle: HttpServerOptions["handle"] = (_, reply) =>
    reply({
      status: 200,
      headers: { "content-length": "1000" },
      body: (async function* () {
        yield await Promise.resolve(new TextEncoder().encode("half"));
        throw new Error("no more");
      })(),
    });
  await withServer({ handle }, async (port) => {
    const answer = await exchange(port, "GET / HTTP/1.1\r\n\r\n").catch(String);
    assertStringIncludes(answer, "\r\n\r\nhalf");
    assertEquals(answer.includes("no more"), false);
  });
});

Deno.test("a line end in a header cannot begin another one", async () => {
  const handle: HttpServerOptions["handle"] = (_, reply) =>
    reply({ status: 200, headers: { etag: 'x"\r\nset-cookie: y' }, body: "" });
  await withServer({ handle }, async (port) => {
    assertStringIncludes(await exchange(port, "GET / HTTP/1.1\r\n\r\n"), 'etag: x"  set-cookie: y\r\n');
  });
});

Deno.test("a full server refuses newcomers, and finishes what it serves", async () => {
  const [arrived, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let served = 0;
  const handle: HttpServerOptions["handle"] = async (_, reply) => {
    if (++served === 2) arrived.resolve();
    await go.promise;
    await reply({ status: 200, headers: {}, body: "done" });
  };
  await withServer({ handle, connections: 2, dropsBusy: false }, async (port) => {
    const request = "GET / HTTP/1.1\r\n\r\n";
    const first = [exchange(port, request), exchange(port, request)];
    await arrived.promise;
    assertEquals(await exchange(port, request).catch(() => ""), "");
    go.resolve();
    for (const answer of await Promise.all(first)) assertMatch(answer, /done$/);
  });
});

Deno.test("a request that is not complete gives its place to a newcomer", async () => {
  const handle: HttpServerOptions["handle"] = (_, reply) => reply({ status: 200, headers: {}, body: "done" });
  await withServer({ handle, connections: 1, dropsBusy: false }, async (port) => {
    using slow = await Deno.connect({ hostname: "127.0.0.1", port });
    await slow.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost:"));
    assertMatch(await exchange(port, "GET / HTTP/1.1\r\n\r\n"), /done$/);
    assertEquals(await slow.read(new Uint8Array(1)).catch(() => null), null);
  });
});

Deno.test("endless headers are 431", async () => {
  const handle: HttpServerOptions["handle"] = (_, reply) => reply({ status: 200, headers: {}, body: "" });
  await withServer({ handle }, async (port) => {
    const answer = await exchange(port, `GET / HTTP/1.1\r\n${"x-filler: 1\r\n".repeat(1400)}`);
    assertMatch(answer, /^HTTP\/1\.1 431 /);
  });
});
