// A small HTTP server for a port open to untrusted clients: one request per connection, few
// connections, and a short time limit for each. Deno.serve bounds none of these, and throws an
// uncaught error when the process runs out of file descriptors.

import { endsWithin } from "../timeouts.ts";
import {
  ClientGoneError,
  close,
  type Connection,
  headOf,
  joined,
  type Question,
  questionIn,
  readRequest,
  readToEnd,
  writeAll,
} from "./wire.ts";

/** Where to listen; an IPv6 address has no brackets. */
export interface ListenAddress {
  readonly hostname: string;
  readonly port: number;
}

/** The answer to a request. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Chunks are as long together as the header content-length says; each is used before the next is requested. */
  readonly body: string | Uint8Array | AsyncIterable<Uint8Array>;
}

/** Sends the answer; resolves once all of it is sent. Throws ClientGoneError, or the body's error. */
export type Reply = (answer: Answer) => Promise<void>;

/** A certificate and its key, in PEM. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

/** The options of a server. */
export interface HttpServerOptions {
  readonly hostname: string;
  /** 0 picks any free port. */
  readonly port: number;
  /** HTTP without it. */
  readonly certificate?: ServerCertificate;
  /**
   * Replies once. If it rejects before, the answer is 500 with the error's text, which must be safe
   * to show to anyone. The signal is aborted when the client leaves, or is dropped.
   */
  readonly handle: (question: Question, reply: Reply, signal: AbortSignal) => Promise<void>;
  /** Called when accepting connections has failed for so long that the port was released. */
  readonly onEnd?: (error: unknown) => void;
  /** The maximum number of open connections. */
  readonly connections?: number;
  /**
   * Whether a new client takes the place of the oldest one whose request is complete, if there is
   * no other place; by default it does.
   */
  readonly dropsBusy?: boolean;
  /**
   * Milliseconds for the complete request to arrive, and again for the complete answer to be sent.
   */
  readonly requestMs?: number;
  /** Milliseconds for each chunk of a body to be sent, instead of the complete answer. */
  readonly chunkMs?: number;
  /** Milliseconds between a failed attempt to accept a connection and the next. */
  readonly pauseMs?: number;
}

const MOST_CONNECTIONS = 32;
const REQUEST_MS = 10_000;
const CHUNK_MS = 60_000;

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

/** What is known of an open connection. */
interface Client {
  /** Whether its request is complete. */
  isWhole: boolean;
  /** Aborted when the connection is closed. */
  readonly gone: AbortController;
}

/** Listens immediately; the constructor throws the platform's error. */
export class HttpServer {
  readonly port: number;
  readonly #options: HttpServerOptions;
  /** Oldest first. */
  readonly #connections = new Map<Connection, Client>();
  readonly #serving = new Set<Promise<void>>();
  readonly #closing = Promise.withResolvers<void>();
  #listener: Deno.Listener<Connection>;
  #accepting: Promise<void>;
  #closed = false;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const { hostname, port } = options;
    // The port is shared to replace the certificate, but not with another program.
    if (options.certificate !== undefined && port !== 0) Deno.listen({ hostname, port }).close();
    this.#listener = this.#listen(options.port, options.certificate);
    this.port = (this.#listener.addr as Deno.NetAddr).port;
    this.#accepting = this.#accept(this.#listener);
  }

  /** Serves another certificate from now on; requests under way end with the old one. */
  async replaceCertificate(certificate: ServerCertificate): Promise<void> {
    if (this.#closed) return;
    const old = { listener: this.#listener, accepting: this.#accepting };
    // Both listen for a moment, so that the port is never closed. The kernel resets what it has
    // queued for the old one.
    this.#listener = this.#listen(this.port, certificate);
    this.#accepting = this.#accept(this.#listener);
    old.listener.close();
    await old.accepting;
  }

  /** Releases the port and closes every connection immediately. */
  async close(): Promise<void> {
    this.#letGo();
    for (const connection of [...this.#connections.keys()]) this.#drop(connection);
    await this.#accepting;
    await Promise.all(this.#serving);
  }

  #listen(port: number, certificate: ServerCertificate | undefined): Deno.Listener<Connection> {
    const { hostname } = this.#options;
    if (certificate === undefined) return Deno.listen({ hostname, port });
    return Deno.listenTls({ hostname, port, reusePort: true, ...certificate });
  }

  #letGo(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing.resolve();
    this.#listener.close();
  }

  async #accept(listener: Deno.Listener<Connection>): Promise<void> {
    const { onEnd, pauseMs = PAUSE_MS } = this.#options;
    const isOver = () => this.#closed || listener !== this.#listener;
    for (let failures = 0; !isOver();) {
      try {
        this.#admit(await listener.accept());
        failures = 0;
      } catch (error) {
        if (isOver()) return;
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
  #admit(connection: Connection): void {
    const { connections = MOST_CONNECTIONS, dropsBusy = true } = this.#options;
    if (this.#connections.size >= connections) {
      const slow = [...this.#connections].find(([, { isWhole }]) => !isWhole)?.[0];
      const [oldest] = this.#connections.keys();
      const left = slow ?? (dropsBusy ? oldest : undefined);
      if (left === undefined) return close(connection);
      this.#drop(left);
    }
    const client = { isWhole: false, gone: new AbortController() };
    this.#connections.set(connection, client);
    const serving = this.#serve(connection, client).catch(() => {
      // The client left, or was dropped.
    }).finally(() => {
      this.#drop(connection);
      this.#serving.delete(serving);
    });
    this.#serving.add(serving);
  }

  #drop(connection: Connection): void {
    const client = this.#connections.get(connection);
    if (client === undefined) return;
    this.#connections.delete(connection);
    client.gone.abort(new ClientGoneError("the client left"));
    close(connection);
  }

  async #serve(connection: Connection, client: Client): Promise<void> {
    const { requestMs = REQUEST_MS } = this.#options;
    const text = await this.#within(requestMs, connection, readRequest(connection));
    client.isWhole = true;
    await this.#handle(connection, text, client.gone.signal);
    await connection.closeWrite();
    await this.#within(LINGER_MS, connection, readToEnd(connection));
  }

  async #handle(connection: Connection, text: string | undefined, gone: AbortSignal): Promise<void> {
    let replied = false;
    let isHead = false;
    const reply: Reply = async (answer) => {
      replied = true;
      await this.#send(connection, answer, isHead);
    };
    if (text === undefined) return await reply(plain(431, "the request is too large\n"));
    const question = questionIn(text);
    if (question === undefined) return await reply(plain(400, "not an HTTP request\n"));
    isHead = question.method === "HEAD";
    try {
      await this.#options.handle(question, reply, gone);
    } catch (error) {
      if (replied) throw error;
      await reply(plain(500, `${error instanceof Error ? error.message : String(error)}\n`));
    }
  }

  async #send(connection: Connection, { status, headers, body }: Answer, isHead: boolean): Promise<void> {
    const { requestMs = REQUEST_MS, chunkMs = CHUNK_MS } = this.#options;
    const writer = connection.writable.getWriter();
    try {
      if (typeof body === "string" || body instanceof Uint8Array) {
        const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
        const head = headOf(status, { ...headers, "content-length": headers["content-length"] ?? bytes.byteLength });
        await this.#within(requestMs, connection, writeAll(writer, isHead ? head : joined(head, bytes)));
        return;
      }
      await this.#within(requestMs, connection, writeAll(writer, headOf(status, headers)));
      for await (const chunk of body) await this.#within(chunkMs, connection, writeAll(writer, chunk));
    } finally {
      writer.releaseLock();
    }
  }

  async #within<T>(ms: number, connection: Connection, work: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#drop(connection), ms);
    return await work.finally(() => clearTimeout(timer));
  }
}

/** Makes the handler of a server whose answers are short. */
export function answering(answer: (question: Question) => Promise<Answer>): HttpServerOptions["handle"] {
  return async (question, reply) => await reply(await answer(question));
}

/** A plain-text answer that must not be cached. */
export function plain(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return {
    status,
    body,
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
  };
}
