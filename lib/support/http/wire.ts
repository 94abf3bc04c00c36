// HTTP/1.1 as the server reads it from a connection and writes it to one.

/** A request. */
export interface Question {
  readonly method: string;
  /** As sent, without the query. */
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
  /** By name in lower case; several with one name are joined by commas (RFC 9110, 5.3). */
  readonly headers: ReadonlyMap<string, string>;
}

/** Thrown when a client left, or was dropped, before the answer was sent. */
export class ClientGoneError extends Error {
  override name = "ClientGoneError";
}

/** A connection over TCP, or over TLS. */
export type Connection = Deno.TcpConn | Deno.TlsConn;

const REQUEST_LIMIT_BYTES = 16 * 1024;

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  206: "Partial Content",
  304: "Not Modified",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
  508: "Loop Detected",
};

/** Returns a request up to its body, which is never used, or undefined if it is too large. */
export async function readRequest(connection: Connection): Promise<string | undefined> {
  const buffer = new Uint8Array(REQUEST_LIMIT_BYTES);
  for (let size = 0; size < buffer.byteLength;) {
    const count = await connection.read(buffer.subarray(size));
    if (count === null) throw new Deno.errors.UnexpectedEof("the client left");
    // Only the new bytes are searched: a client that sends byte by byte must not cost quadratic
    // time.
    const news = String.fromCharCode(...buffer.subarray(Math.max(0, size - 3), size + count));
    size += count;
    if (/\n\r?\n/.test(news)) return String.fromCharCode(...buffer.subarray(0, size));
  }
  return undefined;
}

/** Returns the request, or undefined if it is not HTTP/1. */
export function questionIn(text: string): Question | undefined {
  const [first, method, target] = /^([A-Z]{1,20}) (\S+) HTTP\/1\.[0-9]\r?\n/.exec(text) ?? [];
  if (first === undefined || method === undefined || target === undefined) return undefined;
  // A client sends a proxy the complete URL, which the proxy may pass on unchanged (RFC 9112,
  // 3.2.2).
  const [, path = "", query = ""] = /^([^?#]*)\??([^#]*)/.exec(target.replace(/^https?:\/\/[^/]*/i, "")) ?? [];
  const headers = new Map<string, string>();
  for (const [, name = "", value = ""] of text.slice(first.length).matchAll(/^([!-9;-~]+):[ \t]*([^\r\n]*)/gm)) {
    const before = headers.get(name.toLowerCase());
    headers.set(name.toLowerCase(), before === undefined ? value.trim() : `${before}, ${value.trim()}`);
  }
  return { method, path, query, headers };
}

/** Returns the head of an answer, after which the connection is closed. */
export function headOf(status: number, headers: Readonly<Record<string, string | number>>): Uint8Array {
  const lines = Object.entries({ ...headers, connection: "close" })
    // What a mirror said must not become a header of ours.
    .map(([name, value]) => `${name}: ${String(value).replace(/[\r\n\0]/g, " ")}\r\n`);
  return new TextEncoder().encode(`HTTP/1.1 ${status} ${REASONS[status] ?? ""}\r\n${lines.join("")}\r\n`);
}

/** Returns both, one after the other. */
export function joined(head: Uint8Array, bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(head.byteLength + bytes.byteLength);
  whole.set(head);
  whole.set(bytes, head.byteLength);
  return whole;
}

/** Closes a connection, which a write that failed has closed already. */
export function close(connection: Connection): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/**
 * Writes all of it by one call into the runtime; Connection.write() takes one for each 64 KiB. Throws
 * ClientGoneError.
 */
export async function writeAll(
  writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>,
  bytes: Uint8Array,
): Promise<void> {
  try {
    await writer.write(bytes as Uint8Array<ArrayBuffer>);
  } catch (error) {
    throw new ClientGoneError("the client left", { cause: error });
  }
}

/** Reads and forgets what is left. */
export async function readToEnd(connection: Connection): Promise<void> {
  const buffer = new Uint8Array(4096);
  while (await connection.read(buffer) !== null);
}
