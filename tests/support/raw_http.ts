// HTTP as it is written, for requests that no client would send.

/** Sends this text to a port of 127.0.0.1 and returns everything that comes back until it is closed. */
export async function exchange(port: number, text: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(text));
  return await new Response(connection.readable).text();
}
