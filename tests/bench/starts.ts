// Observes a runtime: its own times at which sandboxes and containers started.

import { endsWithin } from "../../lib/support/timeouts.ts";
import type { CriContainerd } from "../e2e/containerd.ts";
import type { RealEngine } from "../e2e/engine.ts";

/** Returns milliseconds since the epoch, at a finer resolution than Date.now. */
export function wallClock(): number {
  return performance.timeOrigin + performance.now();
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

/** Times at which the tasks of a containerd started, by its own clock. */
export interface TaskStarts extends AsyncDisposable {
  /** The first one after a time, in milliseconds since the epoch; the first task of a pod is its sandbox. */
  after(time: number): Promise<number>;
}

/** Follows the task starts of a containerd from now on. They are few, and all are kept. */
export function followTasks({ inside: [program = "", ...inside], socket }: CriContainerd): TaskStarts {
  const args = [...inside, "ctr", "--address", socket, "--namespace", "k8s.io", "events"];
  const child = new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "null" }).spawn();
  const times: number[] = [];
  let wake = Promise.withResolvers<void>();
  const listen = async () => {
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        // 2026-11-26 14:40:40.123456789 +0000 UTC k8s.io /tasks/start {...}
        const [, date, clock, fraction = ""] = /^(\S+) ([\d:]+)(\.\d+)? \S+ UTC \S+ \/tasks\/start /.exec(line) ?? [];
        if (date !== undefined) times.push(Date.parse(`${date}T${clock}Z`) + 1000 * Number(`0${fraction}`));
      }
      wake.resolve();
      wake = Promise.withResolvers();
    }
  };
  const listening = listen();
  const find = async (time: number): Promise<number> => {
    for (;;) {
      const found = times.find((start) => start >= time);
      if (found !== undefined) return found;
      await wake.promise;
    }
  };
  return {
    after: (time) => soon("the start of a task", find(time)),
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
      await listening;
    },
  };
}

/** The time at which each key was first noted; `when` waits up to two minutes for a key. */
export class Book<Key> {
  readonly #entries = new Map<Key, PromiseWithResolvers<number>>();

  note(key: Key, at: number): void {
    this.#entry(key).resolve(at);
  }

  when(key: Key): Promise<number> {
    return soon(String(key), this.#entry(key).promise);
  }

  #entry(key: Key): PromiseWithResolvers<number> {
    const there = this.#entries.get(key) ?? Promise.withResolvers<number>();
    this.#entries.set(key, there);
    return there;
  }
}

async function soon(what: string, time: Promise<number>): Promise<number> {
  if (await endsWithin(120_000, time)) return await time;
  throw new Error(`${what} did not happen within two minutes`);
}
