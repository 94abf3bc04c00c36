// Ports of the loopback address.

/** A port of 127.0.0.1 where nobody listens now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
