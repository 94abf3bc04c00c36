// A runtime whose calls make news: what they took and why they failed, and whether the runtime answers at all. Every call
// goes through unchanged.

import { LinkedSignal } from "../support/linked_signal.ts";
import type { RuntimeAdvice, Silence } from "./advice.ts";
import { RuntimeError } from "./errors.ts";
import type { EventOptions, PullOptions, ResolveOptions, Runtime, RuntimeObserver } from "./runtime.ts";

/** The same runtime to whoever uses it, and what is known of its silence to whoever asks. */
export class InstrumentedRuntime implements Runtime {
  readonly #runtime: Runtime;
  readonly #observer: RuntimeObserver;
  readonly #now: () => number;
  #silence: Silence | undefined;
  #asking = false;

  /** `now` is in milliseconds. */
  constructor(runtime: Runtime, observer: RuntimeObserver, now: () => number) {
    this.#runtime = runtime;
    this.#observer = observer;
    this.#now = now;
  }

  get advice(): RuntimeAdvice {
    return this.#runtime.advice;
  }

  /** Who gave no answer to the latest call, and why; undefined while it answers, or was not asked yet. */
  get silence(): Silence | undefined {
    return this.#silence;
  }

  /** While it is silent, asks it something small beside the caller's work: nothing else may want to. Never throws. */
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

  resolve(reference: string, options: ResolveOptions) {
    return this.#heard(this.#runtime.resolve(reference, options));
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
    let isOpen = false;
    const onOpen = () => {
      isOpen = true;
      this.#answers();
      options.onOpen();
    };
    try {
      return await this.#runtime.events({ ...options, onOpen });
    } catch (error) {
      // A stream that ends is a runtime that stops, or one that restarts: the next call tells.
      this.#failed(error, { tellsSilence: !isOpen });
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
      this.#failed(error, { tellsSilence: true });
      throw error;
    }
  }

  // What our own stop ended is no RuntimeError, and no news.
  #failed(error: unknown, { tellsSilence }: { readonly tellsSilence: boolean }): void {
    if (!(error instanceof RuntimeError)) return;
    this.#observer.callFailed?.(error.kind);
    if (!tellsSilence) return;
    if (error.silence !== undefined) {
      this.#silence = error.silence;
      this.#observer.runtimeSilent?.(error.silence);
    } else if (error.kind !== "unreachable") this.#answers(); // A pull that breaks off says nothing either way.
  }

  #answers(): void {
    this.#silence = undefined;
    this.#observer.runtimeAnswers?.();
  }
}
