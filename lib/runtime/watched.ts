// Whether the runtime answers at all, told by every call that goes through: said once when it falls silent, and once when
// it is back, however many calls fail meanwhile.

import { Follower } from "../support/linked_signal.ts";
import type { EventOptions, LookUpOptions, PullOptions, Runtime, Silence } from "./runtime.ts";
import { RuntimeError } from "./runtime.ts";

/** Hears of every call that says whether the runtime is there; it keeps the repetitions to itself. */
export interface SilenceListener {
  runtimeSilent(silence: Silence): void;
  runtimeAnswers(): void;
}

/** The same runtime to whoever uses it, and what is known of its silence to whoever asks. */
export class WatchedRuntime implements Runtime {
  readonly #runtime: Runtime;
  readonly #listener: SilenceListener;
  #silence: Silence | undefined;
  #asking = false;

  constructor(runtime: Runtime, listener: SilenceListener) {
    this.#runtime = runtime;
    this.#listener = listener;
  }

  /** Who gave no answer to the latest call, and why; undefined while it answers, or was not asked yet. */
  get silence(): Silence | undefined {
    return this.#silence;
  }

  /** While it is silent, asks it something small beside the caller's work: nothing else may want to. Never throws. */
  askAgain(signal: AbortSignal): void {
    if (this.#silence === undefined || this.#asking || signal.aborted) return;
    this.#asking = true;
    const asking = new Follower(signal);
    void this.info(asking.signal).catch(() => {}).finally(() => {
      asking[Symbol.dispose]();
      this.#asking = false;
    });
  }

  info(signal: AbortSignal) {
    return this.#heard(this.#runtime.info(signal));
  }

  inspect(reference: string, signal: AbortSignal) {
    return this.#heard(this.#runtime.inspect(reference, signal));
  }

  lookUp(reference: string, options: LookUpOptions) {
    return this.#heard(this.#runtime.lookUp(reference, options));
  }

  pull(reference: string, options: PullOptions) {
    return this.#heard(this.#runtime.pull(reference, options));
  }

  tag(source: string, target: { readonly name: string; readonly tag: string }, signal: AbortSignal) {
    return this.#heard(this.#runtime.tag(source, target, signal));
  }

  async events(options: EventOptions): Promise<never> {
    let isOpen = false;
    const onOpen = () => {
      isOpen = true;
      this.#answers();
      options.onOpen();
    };
    try {
      return await this.#runtime.events({ ...options, onOpen });
    } catch (error) {
      // A stream that ends is an Engine that stops, or one that restarts: the next call tells.
      if (!isOpen) this.#failed(error);
      throw error;
    }
  }

  close(): void {
    this.#runtime.close();
  }

  async #heard<Answer>(call: Promise<Answer>): Promise<Answer> {
    try {
      const answer = await call;
      this.#answers();
      return answer;
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  #failed(error: unknown): void {
    if (!(error instanceof RuntimeError)) return;
    // A pull that breaks off says nothing either way.
    if (error.silence === undefined) {
      if (error.kind !== "unreachable") this.#answers();
      return;
    }
    this.#silence = error.silence;
    this.#listener.runtimeSilent(error.silence);
  }

  #answers(): void {
    this.#silence = undefined;
    this.#listener.runtimeAnswers();
  }
}
