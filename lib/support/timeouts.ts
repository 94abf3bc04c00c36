// Timers and signals: a sleep that can be interrupted, a wait with a time limit, a deadline that
// progress postpones, and a signal that follows another.

import { delay } from "@std/async/delay";

/** Resolves after `ms` milliseconds, or as soon as the signal is aborted. Never throws. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, { signal }).catch(() => {});
}

/**
 * Reports whether `work` ends within `ms` milliseconds; if it does not, it continues in the
 * background. Throws what `work` throws within that time.
 */
export async function endsWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  const over = new AbortController();
  try {
    return await Promise.race([work.then(() => true), sleep(ms, over.signal).then(() => false)]);
  } finally {
    over.abort();
  }
}

/**
 * Aborts its signal when `limitMs` milliseconds pass without a feed. The first feed starts the
 * timer.
 */
export class Watchdog {
  readonly #controller = new AbortController();
  readonly #limitMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  feed(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), this.#limitMs);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#controller.abort();
  }
}

/**
 * Has a signal that is aborted with its source, for the same reason, until it is disposed.
 * AbortSignal.any cannot be detached: each signal it makes leaves a trace in its sources for as long
 * as they live (Deno 2.6), as does each fetch, and the sources here live as long as the daemon.
 */
export class LinkedSignal implements Disposable {
  readonly #source: AbortSignal;
  readonly #own = new AbortController();
  readonly #follow = () => this.#own.abort(this.#source.reason);

  constructor(source: AbortSignal) {
    this.#source = source;
    if (source.aborted) this.#follow();
    else source.addEventListener("abort", this.#follow);
  }

  get signal(): AbortSignal {
    return this.#own.signal;
  }

  /** Aborts only the own signal, not the source. */
  abort(): void {
    this.#own.abort();
  }

  [Symbol.dispose](): void {
    this.#source.removeEventListener("abort", this.#follow);
  }
}
