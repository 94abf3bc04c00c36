// A runtime that reports its calls to an observer: how long pulls took, why calls failed, and
// whether the runtime answers at all. Every call passes through unchanged.

import { LinkedSignal } from "../support/timeouts.ts";
import type { RuntimeAdvice, Silence } from "./advice.ts";
import { RuntimeError } from "./errors.ts";
import type { EventOptions, PullOptions, Resolve, Runtime, RuntimeObserver } from "./runtime.ts";

/** Wraps a runtime, reports on its calls, and records whether it answers. */
export class InstrumentedRuntime implements Runtime {
  readonly #runtime: Runtime;
  readonly #observer: RuntimeObserver;
  readonly #now: () => number;
  readonly resolve: Resolve | undefined;
  #silence: Silence | undefined;
  #asking = false;
  /** How many calls have begun. */
  #begun = 0;
  /** The number of the last call to begin of those that were answered. */
  #answered = 0;

  /** `now` is in milliseconds. */
  constructor(runtime: Runtime, observer: RuntimeObserver, now: () => number) {
    this.#runtime = runtime;
    this.#observer = observer;
    this.#now = now;
    const resolve = runtime.resolve?.bind(runtime);
    this.resolve = resolve && ((reference, options) => this.#heard(resolve(reference, options)));
  }

  get advice(): RuntimeAdvice {
    return this.#runtime.advice;
  }

  /** Why the runtime does not answer; undefined if it does, or if it was not called yet. */
  get silence(): Silence | undefined {
    return this.#silence;
  }

  /**
   * If the runtime is silent, makes a small call in the background, since there may be no other
   * call that would notice its return. Never throws.
   */
  askAgain(signal: AbortSignal): void {
    if (this.#silence === undefined || this.#asking || signal.aborted) return;
    this.#asking = true;
    const asking = new LinkedSignal(signal);
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

  async pull(reference: string, options: PullOptions) {
    const start = this.#now();
    const seconds = () => (this.#now() - start) / 1000;
    try {
      const pulled = await this.#heard(this.#runtime.pull(reference, options));
      this.#observer.pulled?.(seconds(), pulled.bytes);
      return pulled;
    } catch (error) {
      if (error instanceof RuntimeError) this.#observer.pullFailed?.(seconds());
      throw error;
    }
  }

  tag(source: string, target: { readonly name: string; readonly tag: string }, signal: AbortSignal) {
    return this.#heard(this.#runtime.tag(source, target, signal));
  }

  async events(options: EventOptions): Promise<never> {
    const number = ++this.#begun;
    let isOpen = false;
    const onOpen = () => {
      isOpen = true;
      this.#answers(number);
      options.onOpen();
    };
    try {
      return await this.#runtime.events({ ...options, onOpen });
    } catch (error) {
      // The runtime of a stream that ends is stopping or restarting; the next call shows which.
      this.#failed(number, error, { tellsSilence: !isOpen });
      throw error;
    }
  }

  close(): void {
    this.#runtime.close();
  }

  async #heard<Answer>(call: Promise<Answer>): Promise<Answer> {
    const number = ++this.#begun;
    try {
      const answer = await call;
      this.#answers(number);
      return answer;
    } catch (error) {
      this.#failed(number, error, { tellsSilence: true });
      throw error;
    }
  }

  // A call that our own stop ended is not a RuntimeError, and is not reported.
  #failed(number: number, error: unknown, { tellsSilence }: { readonly tellsSilence: boolean }): void {
    if (!(error instanceof RuntimeError)) return;
    this.#observer.callFailed?.(error.kind);
    if (!tellsSilence) return;
    if (error.silence !== undefined) {
      // It has waited since it began, and a call that began later was answered.
      if (error.silence.fault?.kind === "hangs" && number < this.#answered) return;
      this.#silence = error.silence;
      this.#observer.runtimeSilent?.(error.silence);
    } else if (error.kind !== "unreachable") this.#answers(number); // A pull that is cut off says nothing either way.
  }

  #answers(number: number): void {
    this.#answered = Math.max(this.#answered, number);
    this.#silence = undefined;
    this.#observer.runtimeAnswers?.();
  }
}
