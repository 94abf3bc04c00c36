// A mirror with its own name and certificate in front of a real registry. Docker verifies nothing
// on loopback addresses, so it is reached through an HTTP proxy that carries every connection to
// it.

import type { IssuedCertificate } from "../fakes/certificates.ts";

/** The name of the mirror, which only the proxy can reach. */
export const TLS_MIRROR = "tls-mirror.example";

/** A running mirror behind its proxy. */
export interface TlsMirror extends AsyncDisposable {
  /** For HTTPS_PROXY. */
  readonly proxyUrl: string;
  /** The registry behind it, `127.0.0.1:PORT`. */
  target: string;
  /** Serves another certificate from now on. */
  useCertificate(certificate: IssuedCertificate): Promise<void>;
}

/** Starts both, with no registry behind them yet. */
export function startTlsMirror(certificate: IssuedCertificate): TlsMirror {
  const serve = ({ certificatePem: cert, keyPem: key }: IssuedCertificate) =>
    Deno.serve(
      { hostname: "127.0.0.1", port: 0, cert, key, onListen() {} },
      (request) => forward(mirror.target, request),
    );
  let server = serve(certificate);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  const accepting = (async () => {
    for await (const client of listener) void carry(client, () => (server.addr as Deno.NetAddr).port, open);
  })();
  const mirror: TlsMirror = {
    proxyUrl: `http://127.0.0.1:${listener.addr.port}`,
    target: "",
    async useCertificate(next: IssuedCertificate) {
      const old = server;
      server = serve(next);
      await old.shutdown();
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const connection of open) closeQuietly(connection);
      await server.shutdown();
    },
  };
  return mirror;
}

/** Serves one client of the proxy: carries a CONNECT to the mirror, and refuses all else. */
async function carry(client: Deno.Conn, port: () => number, open: Set<Deno.Conn>): Promise<void> {
  open.add(client);
  try {
    const head = await readHead(client);
    const known = head.startsWith(`CONNECT ${TLS_MIRROR}:443 `);
    await client.write(new TextEncoder().encode(`HTTP/1.1 ${known ? "200 OK" : "502 Bad Gateway"}\r\n\r\n`));
    if (!known) return;
    const upstream = await Deno.connect({ hostname: "127.0.0.1", port: port() });
    open.add(upstream);
    await Promise.allSettled([pipe(client, upstream), pipe(upstream, client)]);
    open.delete(upstream);
  } catch {
    // Either side has closed its connection.
  } finally {
    open.delete(client);
    closeQuietly(client);
  }
}

async function readHead(connection: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(4096);
  let head = "";
  while (!head.includes("\r\n\r\n")) {
    const count = await connection.read(buffer);
    if (count === null) break;
    head += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return head;
}

async function pipe(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  try {
    await from.readable.pipeTo(to.writable);
  } finally {
    closeQuietly(from);
    closeQuietly(to);
  }
}

async function forward(target: string, { method, url, headers }: Request): Promise<Response> {
  const { pathname, search } = new URL(url);
  const accept = headers.get("Accept");
  const answer = await fetch(`http://${target}${pathname}${search}`, {
    method,
    headers: accept === null ? {} : { Accept: accept },
  });
  const body = method === "HEAD" ? null : await answer.arrayBuffer();
  return new Response(body, { status: answer.status, headers: answer.headers });
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is already closed.
  }
}
