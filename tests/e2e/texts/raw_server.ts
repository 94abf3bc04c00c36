// A server of connections, for answers that no HTTP server gives.

/** A running server. Disposing of it closes its connections. */
export interface RawServer extends AsyncDisposable {
  readonly port: number;
}

/** Starts a server that does this with each connection. */
export function rawServer(
  serve: (connection: Deno.TcpConn) => Promise<void> | void,
  hostname = "127.0.0.1",
): RawServer {
  const listener = Deno.listen({ hostname, port: 0 });
  const open = new Set<Deno.Conn>();
  const accepting = (async () => {
    for await (const connection of listener) {
      open.add(connection);
      void (async () => await serve(connection))().catch(() => {});
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const connection of open) {
        try {
          connection.close();
        } catch {
          // It is closed already.
        }
      }
    },
  };
}
