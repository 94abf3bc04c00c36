// Has Gilly's clients call a runtime and records what the runtime said.

import { AsyncLocalStorage } from "node:async_hooks";
import { RuntimeError } from "../../../lib/runtime/errors.ts";
import { plainText } from "../../../lib/runtime/registry_texts.ts";
import type { Case, Kind } from "./case.ts";
import type { Network } from "./network.ts";
import type { TextRuntime } from "./runtimes.ts";
import { normalized, type Row } from "./table.ts";

/** A row, and the kind that the client gave. */
export interface Captured {
  readonly row: Row;
  readonly given: Kind;
  /** See Case. */
  readonly pattern: RegExp | undefined;
}

/** What a runtime answered to a call. */
interface Answered {
  said: string;
  message?: string | undefined;
}

/** The calls that make a runtime ask a registry. */
const PULLS = /\/images\/create|\/distribution\/|\/PullImage$/;

/** Watches the answers to the calls of all clients. */
export class AnswerWatch implements Disposable {
  readonly #call = new AsyncLocalStorage<Answered>();
  readonly #fetch = globalThis.fetch;

  constructor() {
    globalThis.fetch = async (input, init) => {
      const response = await this.#fetch(input, init);
      const answered = this.#call.getStore();
      if (answered !== undefined && PULLS.test(new URL(String(input)).pathname)) {
        Object.assign(answered, await answerIn(response));
      }
      return response;
    };
  }

  /** Makes a call; `answered` is what the runtime answered to it. */
  async during<Result>(call: () => Promise<Result>, answered: Answered): Promise<Result> {
    return await this.#call.run(answered, call);
  }

  [Symbol.dispose](): void {
    globalThis.fetch = this.#fetch;
  }
}

async function answerIn(response: Response): Promise<Answered> {
  const code = response.headers.get("grpc-status");
  if (code !== null) return { said: `gRPC ${code}` };
  if (response.status === 200) return { said: "stream" };
  const { message } = await response.clone().json().catch(() => ({}));
  return { said: String(response.status), message };
}

/** Makes the calls of one case, side by side. */
export async function capture(
  one: Case,
  runtime: TextRuntime,
  network: Network,
  watch: AnswerWatch,
): Promise<Captured[]> {
  await using scene = await one.open({ runtime, network });
  const { reference } = scene;
  const { client } = runtime;
  const { resolve } = client;
  const record = async (call: Row["call"], make: () => Promise<unknown>): Promise<Captured[]> => {
    const answered: Answered = { said: "Gilly" };
    const { given, text } = await outcomeOf(() => watch.during(make, answered));
    if (call === "resolve" && given === "pulled") return [];
    if (given === "stalled") answered.said = "Gilly";
    const message = text?.replace(/^(?:pull|resolve) \S+: /, "") ?? plainText(answered.message ?? "");
    const kind = one.except?.[`${runtime.name} ${call}`] ?? one.except?.[runtime.name] ?? one.kind;
    return [{
      given,
      pattern: one.pattern,
      row: {
        runtime: runtime.name,
        case: one.name,
        call,
        said: answered.said,
        message: normalized(message, { reference, dir: runtime.dir }),
        kind,
      },
    }];
  };
  const signal = new AbortController().signal;
  const rows = await Promise.all([
    resolve === undefined ? [] : record("resolve", () => resolve.call(client, reference, { signal })),
    record("pull", () => client.pull(reference, { signal })),
  ]);
  return rows.flat();
}

async function outcomeOf(call: () => Promise<unknown>): Promise<{ readonly given: Kind; readonly text?: string }> {
  try {
    // What a registry does not have is undefined.
    return { given: await call() === undefined ? "not-found" : "pulled" };
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    return { given: error.kind, text: error.whole ?? error.message };
  }
}
