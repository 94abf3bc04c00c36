// A small HTTP server for a port that strangers may reach: one question a connection, few connections, little time for
// each. Deno.serve bounds none of it, and ends with an uncaught error when the process has no descriptor left.

import { endsWithin } from "./timeouts.ts";

/** Where to listen; an IPv6 address stands without brackets. */
export interface ListenAddress {
  readonly hostname: string;
  readonly port: number;
}

/** What was asked; the path is without its query. */
export interface Question {
  readonly method: string;
  readonly path: string;
}

/** What is answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** How a server is made. */
export interface HttpServerOptions {
  readonly hostname: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** A rejection is answered by 500 and its text must be fit for everybody. */
  readonly answer: (question: Question) => Promise<Answer>;
  /** Connections could not be accepted for so long that the port was let go of. */
  readonly onEnd?: (error: unknown) => void;
  /** Most connections at once. */
  readonly connections?: number;
  /** Milliseconds until the whole request must be there, and again until the whole answer must be taken. */
  readonly requestMs?: number;
  /** Milliseconds between two tries to accept a connection after one that failed. */
  readonly pauseMs?: number;
}

const MOST_CONNECTIONS = 32;
const REQUEST_MS = 10_000;
const REQUEST_LIMIT_BYTES = 16 * 1024;

/** Time for a client to end its side, so that closing does not take the answer away from it (RFC 9112, 9.6). */
const LINGER_MS = 1000;

/** accept(2) fails for a while when the process or the host has no descriptor or memory left; this often, it is broken. */
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

/** Listens at once; the constructor throws what the platform says. */
export class HttpServer {
  readonly port: number;
  readonly #options: HttpServerOptions;
  readonly #listener: Deno.TcpListener;
  /** Every connection, oldest first, and whether its request is whole. */
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

  /** Lets go of the port and of every connection at once. */
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

  // A newcomer is let in at the cost of one that takes its time: whoever asks at once gets an answer beside any number of
  // those who never do.
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

/** An answer of plain text that nobody keeps. */
export function plain(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return {
    status,
    body,
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
  };
}

/** A request up to its body, which nothing here has a use for; undefined when it is too large. */
async function readRequest(connection: Deno.TcpConn): Promise<string | undefined> {
  const buffer = new Uint8Array(REQUEST_LIMIT_BYTES);
  for (let size = 0; size < buffer.byteLength;) {
    const count = await connection.read(buffer.subarray(size));
    if (count === null) throw new Deno.errors.UnexpectedEof("the client left");
    // Only what is new is looked at: a client that sends byte after byte must not cost the square of its bytes.
    const news = String.fromCharCode(...buffer.subarray(Math.max(0, size - 3), size + count));
    size += count;
    if (/\n\r?\n/.test(news)) return String.fromCharCode(...buffer.subarray(0, size));
  }
  return undefined;
}

function questionIn(text: string | undefined): Question | undefined {
  const [, method, target] = /^([A-Z]{1,20}) (\S+) HTTP\/1\.[0-9]\r?\n/.exec(text ?? "") ?? [];
  if (method === undefined || target === undefined) return undefined;
  // A proxy is asked for a whole URL, and may pass it on so (RFC 9112, 3.2.2).
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
