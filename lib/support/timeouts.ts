// Timers: a sleep that can be interrupted, a wait with a time limit, and a deadline that progress
// postpones.

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
