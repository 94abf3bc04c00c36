// The HTTP server of a fake runtime, on a Unix socket: it starts again after a stop.

/** Answers a request; the signal is aborted when the server stops. */
export type Serve = (request: Request, stopped: AbortSignal) => Promise<Response>;

/** A server on one socket. */
export class SocketServer {
  readonly #socket: string;
  readonly #serve: Serve;
  readonly #onError: () => Response;
  #running: { readonly abort: AbortController; readonly finished: Promise<void> } | undefined;

  /** `onError` answers a request whose handler throws. */
  constructor(socket: string, serve: Serve, onError: () => Response) {
    this.#socket = socket;
    this.#serve = serve;
    this.#onError = onError;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Resolves once the socket is there. */
  async start(): Promise<void> {
    await Deno.remove(this.#socket).catch(() => {});
    const abort = new AbortController();
    const listening = Promise.withResolvers<void>();
    const { finished } = Deno.serve(
      { path: this.#socket, signal: abort.signal, onListen: () => listening.resolve(), onError: this.#onError },
      (request) => this.#serve(request, abort.signal),
    );
    this.#running = { abort, finished };
    await listening.promise;
  }

  /** Stops as a crash would: it cuts off every open call. Does nothing if it is not running. */
  async stop(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    running.abort.abort();
    await running.finished;
    await Deno.remove(this.#socket).catch(() => {});
  }
}
