// Observes a Docker Engine: a proxy socket that records when pulls are requested, and the Engine's
// own times at which sandboxes and containers started.

import { endsWithin } from "../../lib/support/timeouts.ts";
import type { RealEngine } from "../e2e/engine.ts";

/** Returns milliseconds since the epoch, at a finer resolution than Date.now. */
export function wallClock(): number {
  return performance.timeOrigin + performance.now();
}

/** A socket in front of the Engine's. */
export interface EngineTap extends AsyncDisposable {
  readonly socket: string;
  /** Resolves with the time at which a pull of that reference (`name:tag`) was first requested. */
  pullRequested(reference: string): Promise<number>;
}

/** Listens at `socket` and forwards each connection to the Engine. Gilly makes one per request. */
export function tapEngine(engine: RealEngine, socket: string): EngineTap {
  const listener = Deno.listen({ transport: "unix", path: socket });
  const book = new Book<string>();
  const open = new Set<Deno.Conn>();
  const serve = async (client: Deno.Conn) => {
    open.add(client);
    const server = await Deno.connect({ transport: "unix", path: engine.socket });
    open.add(server);
    const answered = server.readable.pipeTo(client.writable);
    const ears = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        const query = /^POST \S*\/images\/create\?(\S+) HTTP/.exec(new TextDecoder().decode(chunk.subarray(0, 2048)))
          ?.[1];
        const asked = new URLSearchParams(query);
        if (query !== undefined) book.note(`${asked.get("fromImage")}:${asked.get("tag")}`, wallClock());
        controller.enqueue(chunk);
      },
    });
    await Promise.allSettled([answered, client.readable.pipeThrough(ears).pipeTo(server.writable)]);
    open.delete(client);
    open.delete(server);
  };
  const accept = async () => {
    for await (const client of listener) void serve(client).catch(() => {});
  };
  void accept();
  return {
    socket,
    pullRequested: (reference) => book.when(reference),
    [Symbol.asyncDispose]() {
      listener.close();
      for (const connection of open) {
        try {
          connection.close();
        } catch {
          // Its stream has already closed it.
        }
      }
      return Promise.resolve();
    },
  };
}

/** Start times on an Engine by its own clock, in milliseconds since the epoch. */
export interface Starts extends AsyncDisposable {
  /** The sandbox of that pod (its full name). */
  sandbox(pod: string): Promise<number>;
  /** The container `app` of that pod. */
  container(pod: string): Promise<number>;
}

/** Follows the Engine's start events from now on. */
export async function followStarts(engine: RealEngine): Promise<Starts> {
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: engine.socket } });
  const end = new AbortController();
  const filters = JSON.stringify({ type: ["container"], event: ["start"] });
  const url = `http://docker/events?${new URLSearchParams({ filters })}`;
  const response = await fetch(url, { client, signal: end.signal });
  const book = new Book<string>();
  const listen = async () => {
    let rest = "";
    for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const { timeNano, Actor: { Attributes } } = JSON.parse(line);
        book.note(`${Attributes["io.kubernetes.docker.type"]} ${Attributes["io.kubernetes.pod.name"]}`, timeNano / 1e6);
      }
    }
  };
  const listening = listen().catch(() => {});
  return {
    sandbox: (pod) => book.when(`podsandbox ${pod}`),
    container: (pod) => book.when(`container ${pod}`),
    async [Symbol.asyncDispose]() {
      end.abort();
      await listening;
      client.close();
    },
  };
}

/** The time at which each key was first noted; `when` waits up to two minutes for a key. */
class Book<Key> {
  readonly #entries = new Map<Key, PromiseWithResolvers<number>>();

  note(key: Key, at: number): void {
    this.#entry(key).resolve(at);
  }

  async when(key: Key): Promise<number> {
    const { promise } = this.#entry(key);
    if (await endsWithin(120_000, promise)) return await promise;
    throw new Error(`${key} did not happen within two minutes`);
  }

  #entry(key: Key): PromiseWithResolvers<number> {
    const there = this.#entries.get(key) ?? Promise.withResolvers<number>();
    this.#entries.set(key, there);
    return there;
  }
}
