// A small HTTP server for a port open to untrusted clients: one request per connection, few
// connections, and a short time limit for each. Deno.serve bounds none of these, and throws an
// uncaught error when the process runs out of file descriptors.

import { endsWithin } from "./timeouts.ts";

/** Where to listen; an IPv6 address has no brackets. */
export interface ListenAddress {
  readonly hostname: string;
  readonly port: number;
}

/** A request; the path excludes the query. */
export interface Question {
  readonly method: string;
  readonly path: string;
}

/** The answer to a request. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The options of a server. */
export interface HttpServerOptions {
  readonly hostname: string;
  /** 0 picks any free port. */
  readonly port: number;
  /**
   * If it rejects, the answer is 500 with the error's text, which must be safe to show to anyone.
   */
  readonly answer: (question: Question) => Promise<Answer>;
  /** Called when accepting connections has failed for so long that the port was released. */
  readonly onEnd?: (error: unknown) => void;
  /** The maximum number of open connections. */
  readonly connections?: number;
  /**
   * Milliseconds for the complete request to arrive, and again for the complete answer to be sent.
   */
  readonly requestMs?: number;
  /** Milliseconds between a failed attempt to accept a connection and the next. */
  readonly pauseMs?: number;
}

const MOST_CONNECTIONS = 32;
const REQUEST_MS = 10_000;
const REQUEST_LIMIT_BYTES = 16 * 1024;

/**
 * Time for a client to close its side, so that closing does not lose the answer (RFC 9112, 9.6).
 */
const LINGER_MS = 1000;

/**
 * accept(2) fails temporarily when the process or the host is out of descriptors or memory. The
 * server gives up after MOST_FAILURES in a row, PAUSE_MS apart.
 */
const PAUSE_MS = 1000;
const MOST_FAILURES = 30;

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** Listens immediately; the constructor throws the platform's error. */
export class HttpServer {
  readonly port: number;
  readonly #options: HttpServerOptions;
  readonly #listener: Deno.TcpListener;
  /** Every connection, oldest first, and whether its request is complete. */
  readonly #connections = new Map<Deno.TcpConn, { isWhole: boolean }>();
  readonly #serving = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  readonly #closing = Promise.withResolvers<void>();
  #closed = false;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#listener = Deno.listen({ hostname: options.hostname, port: options.port });
    this.port = this.#listener.addr.port;
    this.#accepting = this.#accept();
  }

  /** Releases the port and closes every connection immediately. */
  async close(): Promise<void> {
    this.#letGo();
    for (const connection of [...this.#connections.keys()]) this.#drop(connection);
    await this.#accepting;
    await Promise.all(this.#serving);
  }

  #letGo(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing.resolve();
    this.#listener.close();
  }

  async #accept(): Promise<void> {
    const { onEnd, pauseMs = PAUSE_MS } = this.#options;
    for (let failures = 0; !this.#closed;) {
      try {
        this.#admit(await this.#listener.accept());
        failures = 0;
      } catch (error) {
        if (this.#closed) return;
        failures++;
        if (failures === MOST_FAILURES) {
          this.#letGo();
          return onEnd?.(error);
        }
        await endsWithin(pauseMs, this.#closing.promise);
      }
    }
  }

  // When full, drops the oldest connection whose request is incomplete, or else the oldest, to admit
  // a new one: a client that sends its request promptly is answered despite any number of clients
  // that never do.
  #admit(connection: Deno.TcpConn): void {
    if (this.#connections.size >= (this.#options.connections ?? MOST_CONNECTIONS)) {
      const [oldest] = this.#connections.keys();
      const slow = [...this.#connections].find(([, { isWhole }]) => !isWhole)?.[0];
      this.#drop(slow ?? oldest!);
    }
    this.#connections.set(connection, { isWhole: false });
    const serving = this.#serve(connection).catch(() => {
      // The client left, or was dropped.
    }).finally(() => {
      this.#drop(connection);
      this.#serving.delete(serving);
    });
    this.#serving.add(serving);
  }

  #drop(connection: Deno.TcpConn): void {
    if (this.#connections.delete(connection)) connection.close();
  }

  async #serve(connection: Deno.TcpConn): Promise<void> {
    const { requestMs = REQUEST_MS } = this.#options;
    const text = await this.#within(requestMs, connection, readRequest(connection));
    this.#connections.get(connection)!.isWhole = true;
    const { method, path } = questionIn(text) ?? { method: "", path: "" };
    const answer = await this.#answerTo(text, method, path);
    await this.#within(requestMs, connection, writeAll(connection, rendered(answer, method === "HEAD")));
    await connection.closeWrite();
    await this.#within(LINGER_MS, connection, readToEnd(connection));
  }

  async #answerTo(text: string | undefined, method: string, path: string): Promise<Answer> {
    if (text === undefined) return plain(431, "the request is too large\n");
    if (method === "") return plain(400, "not an HTTP request\n");
    try {
      return await this.#options.answer({ method, path });
    } catch (error) {
      return plain(500, `${error instanceof Error ? error.message : String(error)}\n`);
    }
  }

  async #within<T>(ms: number, connection: Deno.TcpConn, work: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#drop(connection), ms);
    return await work.finally(() => clearTimeout(timer));
  }
}

/** A plain-text answer that must not be cached. */
export function plain(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return {
    status,
    body,
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
  };
}

/** Returns a request up to its body, which is never used, or undefined if it is too large. */
async function readRequest(connection: Deno.TcpConn): Promise<string | undefined> {
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

function questionIn(text: string | undefined): Question | undefined {
  const [, method, target] = /^([A-Z]{1,20}) (\S+) HTTP\/1\.[0-9]\r?\n/.exec(text ?? "") ?? [];
  if (method === undefined || target === undefined) return undefined;
  // A client sends a proxy the complete URL, which the proxy may pass on unchanged (RFC 9112,
  // 3.2.2).
  return { method, path: target.replace(/^https?:\/\/[^/]*/i, "").replace(/[?#].*$/, "") };
}

function rendered({ status, headers, body }: Answer, isHead: boolean): Uint8Array {
  const bytes = new TextEncoder().encode(body);
  const lines = Object.entries({ ...headers, "content-length": bytes.byteLength, connection: "close" })
    .map(([name, value]) => `${name}: ${value}\r\n`);
  const head = new TextEncoder().encode(`HTTP/1.1 ${status} ${REASONS[status] ?? ""}\r\n${lines.join("")}\r\n`);
  const whole = new Uint8Array(head.byteLength + (isHead ? 0 : bytes.byteLength));
  whole.set(head);
  if (!isHead) whole.set(bytes, head.byteLength);
  return whole;
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.byteLength;) written += await connection.write(bytes.subarray(written));
}

async function readToEnd(connection: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(4096);
  while (await connection.read(buffer) !== null);
}
