// Tests lib/support/http/client.ts: its deadlines, limits and failures, against real sockets.

import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects, assertStrictEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { describeError } from "../../../../lib/support/errors.ts";
import { HttpError, type HttpRequest, HttpTimeoutError, readBody, send } from "../../../../lib/support/http/client.ts";

const forever = new AbortController().signal;
const LIMITS = { limit: 1000, timeoutMs: 10_000, signal: forever };

interface Server {
  readonly url: string;
  readonly client: Deno.HttpClient;
}

/** Runs a test with a server that answers with `answer`, and a client for it. */
async function withServer(
  answer: (request: Request) => Response | Promise<Response>,
  test: (server: Server) => Promise<void>,
): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, answer);
  const client = Deno.createHttpClient({});
  try {
    await test({ url: `http://127.0.0.1:${server.addr.port}/pods`, client });
  } finally {
    client.close();
    await server.shutdown();
  }
}

/**
 * Runs a test with a server that sends `bytes` on each connection, then stays silent or hangs up.
 */
async function withRawServer(
  bytes: string,
  then: "silence" | "hang up",
  test: (server: Server, connected: Promise<unknown>) => Promise<void>,
): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = Deno.createHttpClient({});
  const connections: Deno.Conn[] = [];
  const first = Promise.withResolvers<void>();
  const serving = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      await connection.read(new Uint8Array(65_536));
      await connection.write(new TextEncoder().encode(bytes));
      if (then === "hang up") connections.pop()?.close();
      first.resolve();
    }
  })();
  try {
    await test({ url: `http://127.0.0.1:${listener.addr.port}/pods`, client }, first.promise);
  } finally {
    client.close();
    listener.close();
    await serving;
    for (const connection of connections) connection.close();
  }
}

function request(server: Server, more: Partial<HttpRequest> = {}): HttpRequest {
  return { ...server, signal: forever, ...more };
}

async function textOf(server: Server, more: Partial<HttpRequest> = {}): Promise<string> {
  return new TextDecoder().decode(await readBody(await send(request(server, more)), LIMITS));
}

Deno.test("the method and the headers reach the server, and its answer comes back", async () => {
  const answer = ({ method, headers }: Request) => new Response(`${method} ${headers.get("X-Registry-Auth")}`);
  await withServer(answer, async (server) => {
    assertEquals(await textOf(server), "GET null");
    assertEquals(await textOf(server, { method: "POST", headers: { "X-Registry-Auth": "e30=" } }), "POST e30=");
  });
});

Deno.test("any status is an answer", async () => {
  await withServer(
    ({ url }) => new Response("text", { status: Number(new URL(url).search.slice(1)) }),
    async (server) => {
      for (const status of [400, 401, 404, 500, 503]) {
        const response = await send(request({ ...server, url: `${server.url}?${status}` }));
        assertEquals(response.status, status);
        await readBody(response, LIMITS);
      }
    },
  );
});

Deno.test("a redirect is an answer and is never followed", async () => {
  const asked: string[] = [];
  const answer = ({ url }: Request) => {
    asked.push(new URL(url).pathname);
    return new Response(null, { status: 301, headers: { location: "/json" } });
  };
  await withServer(answer, async (server) => {
    const response = await send(request(server));
    assertEquals([response.status, response.headers.get("location")], [301, "/json"]);
    assertEquals(await readBody(response, LIMITS), new Uint8Array());
    assertEquals(asked, ["/pods"]);
  });
});

Deno.test("a server that accepts and stays silent is given up after the deadline", async () => {
  await withRawServer("", "silence", async (server) => {
    const error = await assertRejects(() => send(request(server, { headersTimeoutMs: 30 })), HttpTimeoutError);
    assertEquals(error.message, "no answer within 0.03 s");
  });
});

Deno.test("the deadline applies only to the headers: a body may take longer", async () => {
  const finish = Promise.withResolvers<void>();
  const answer = () =>
    new Response(
      new ReadableStream({
        async start(controller) {
          controller.enqueue(new TextEncoder().encode("begun "));
          await finish.promise;
          controller.enqueue(new TextEncoder().encode("and done"));
          controller.close();
        },
      }),
    );
  await withServer(answer, async (server) => {
    const response = await send(request(server, { headersTimeoutMs: 200 }));
    setTimeout(finish.resolve, 300);
    assertEquals(new TextDecoder().decode(await readBody(response, LIMITS)), "begun and done");
  });
});

Deno.test("an abort while waiting for headers throws the signal's own reason", async () => {
  await withRawServer("", "silence", async (server, connected) => {
    const stop = new AbortController();
    const reason = new Error("stopped by a signal");
    const sent = send(request(server, { signal: stop.signal, headersTimeoutMs: 10_000 }));
    await connected;
    stop.abort(reason);
    assertStrictEquals(await assertRejects(() => sent, Error), reason);
  });
});

Deno.test("an answer that arrives just after the abort is canceled, and its request was not cut off before", async () => {
  const stop = new AbortController();
  const reason = new Error("stopped by a signal");
  const found = Promise.withResolvers<boolean>();
  const letGo = Promise.withResolvers<void>();
  const answer = async ({ signal }: Request) => {
    stop.abort(reason);
    // A request that is cut off reaches the server within a millisecond or two.
    await delay(20);
    found.resolve(signal.aborted);
    return new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
        cancel: () => letGo.resolve(),
      }),
    );
  };
  await withServer(answer, async (server) => {
    const sent = send(request(server, { signal: stop.signal }));
    assertStrictEquals(await assertRejects(() => sent, Error), reason);
    assertEquals(await found.promise, false);
    await letGo.promise;
  });
});

Deno.test("nothing is sent if the signal is aborted", async () => {
  await withServer(() => new Response(), async (server) => {
    const signal = AbortSignal.abort(new Error("stopped before"));
    await assertRejects(() => send(request(server, { signal })), Error, "stopped before");
  });
});

Deno.test("a refused connection is an error that does not repeat the address", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  using client = Deno.createHttpClient({});
  const error = await assertRejects(
    () => send({ url: `http://127.0.0.1:${port}/pods?token=secret`, client, signal: forever }),
    HttpError,
  );
  assertMatch(error.message, /Connection refused/);
  assert(!/secret|pods|http:/.test(error.message), error.message);
});

Deno.test("a host that does not exist is an error that does not repeat the address", async () => {
  using client = Deno.createHttpClient({});
  const url = "http://nowhere.invalid/pods?token=secret";
  const error = await assertRejects(() => send({ url, client, signal: forever }), HttpError);
  assertMatch(error.message, /dns|lookup|resolve/i);
  assert(!/secret|pods/.test(error.message), error.message);
});

Deno.test("a server that hangs up before it answers is an error", async () => {
  await withRawServer("", "hang up", async (server) => {
    const error = await assertRejects(() => send(request(server)), HttpError);
    assertEquals(error.message, "connection closed before message completed");
  });
});

Deno.test("a server that speaks another protocol is an error", async () => {
  await withRawServer("220 mail.example ESMTP\r\n", "hang up", async (server) => {
    await assertRejects(() => send(request(server)), HttpError);
  });
});

Deno.test("a body of exactly the limit is read, and one byte more is refused", async () => {
  await withServer(({ url }) => new Response("x".repeat(Number(new URL(url).search.slice(1)))), async (server) => {
    const ask = async (size: number) =>
      readBody(await send(request({ ...server, url: `${server.url}?${size}` })), LIMITS);
    assertEquals((await ask(0)).byteLength, 0);
    assertEquals((await ask(1000)).byteLength, 1000);
    await assertRejects(() => ask(1001), HttpError, "the answer is larger than 1000 bytes");
  });
});

Deno.test("the time to read a body grows linearly with its length", async () => {
  const [size, limits] = [32 * 1024 * 1024, { ...LIMITS, limit: 64 * 1024 * 1024, timeoutMs: 5000 }];
  const answer = () => {
    let sent = 0;
    return new Response(
      new ReadableStream<Uint8Array>({
        pull(controller) {
          if ((sent += 8192) > size) controller.close();
          else controller.enqueue(new Uint8Array(8192));
        },
      }),
    );
  };
  await withServer(answer, async (server) => {
    assertEquals((await readBody(await send(request(server)), limits)).byteLength, size);
  });
});

Deno.test("an endless body is refused at the limit and canceled", async () => {
  const canceled = Promise.withResolvers<void>();
  const answer = () =>
    new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(400)),
        cancel: () => canceled.resolve(),
      }),
    );
  await withServer(answer, async (server) => {
    const response = await send(request(server));
    await assertRejects(() => readBody(response, LIMITS), HttpError, "larger than 1000 bytes");
    await canceled.promise;
  });
});

Deno.test("chunks are joined in order, as bytes", async () => {
  const bytes = Uint8Array.from({ length: 700 }, (_, index) => index % 256);
  const answer = () =>
    new Response(
      new ReadableStream({
        start(controller) {
          for (let at = 0; at < bytes.length; at += 7) controller.enqueue(bytes.slice(at, at + 7));
          controller.close();
        },
      }),
    );
  await withServer(answer, async (server) => {
    assertEquals(await readBody(await send(request(server)), LIMITS), bytes);
  });
});

const HALF = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf an ans";

Deno.test("a body that stalls is given up after its timeout", async () => {
  await withRawServer(HALF, "silence", async (server) => {
    const response = await send(request(server));
    const error = await assertRejects(() => readBody(response, { ...LIMITS, timeoutMs: 30 }), HttpTimeoutError);
    assertEquals(error.message, "the answer was not complete within 0.03 s");
  });
});

Deno.test("a truncated body is an error with the platform's error as its cause", async () => {
  await withRawServer(HALF, "hang up", async (server) => {
    const response = await send(request(server));
    const error = await assertRejects(() => readBody(response, LIMITS), HttpError, "the answer was cut off");
    assertInstanceOf(error.cause, Error);
  });
});

Deno.test("an abort while a body arrives throws the signal's own reason", async () => {
  await withRawServer(HALF, "silence", async (server) => {
    const stop = new AbortController();
    const reason = new Error("stopped by a signal");
    const response = await send(request(server));
    const read = readBody(response, { ...LIMITS, signal: stop.signal });
    stop.abort(reason);
    assertStrictEquals(await assertRejects(() => read, Error), reason);
  });
});

Deno.test("an abort before a body is read throws the signal's own reason", async () => {
  await withRawServer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "silence", async (server) => {
    const response = await send(request(server));
    const signal = AbortSignal.abort(new Error("stopped before"));
    await assertRejects(() => readBody(response, { ...LIMITS, signal }), Error, "stopped before");
  });
});

Deno.test("an answer without a body reads as empty", async () => {
  assertEquals(await readBody(new Response(null), LIMITS), new Uint8Array());
});

Deno.test("a header that cannot be sent is refused by its name, and no error contains its value", async () => {
  await withServer(() => new Response(), async ({ url, client }) => {
    for (const value of ["Bearer hunter22\0", "Bearer hunter22é", "Bearer hunter22\nx", "Bearer hunter22\ufffd"]) {
      const headers = { authorization: value };
      const error = await assertRejects(() => send({ url, client, headers, signal: forever }), HttpError);
      assertEquals(describeError(error), "the value of the header authorization is not ASCII text");
    }
  });
});
