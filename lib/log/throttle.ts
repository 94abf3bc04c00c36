// Passes a message once, and again only after growing intervals. Time is an argument.

import { setRecent } from "../support/recent.ts";

/** Minutes until an unchanged message is logged again; the last one repeats. */
const INTERVALS_MINUTES = [10, 30, 60, 360];

/**
 * The most keys kept, so that hostile or busy nodes cannot grow memory without limit; the oldest
 * are forgotten first.
 */
const MOST_KEYS = 5000;

/** Keyed by the subject of the message; a changed message passes at once. */
export class Throttle {
  readonly #said = new Map<string, { text: string; times: number; nextAt: number }>();

  /** Returns whether to log `text` about `key` at `now` (milliseconds), and records it if so. */
  shouldLog(key: string, text: string, now: number): boolean {
    const known = this.#said.get(key);
    const news = known === undefined || known.text !== text;
    if (!news && now < known.nextAt) return false;
    const times = news ? 0 : known.times + 1;
    const minutes = INTERVALS_MINUTES[Math.min(times, INTERVALS_MINUTES.length - 1)]!;
    setRecent(this.#said, key, { text, times, nextAt: now + minutes * 60_000 }, MOST_KEYS);
    return true;
  }

  /** Forgets a key; returns whether anything had been logged about it. */
  forget(key: string): boolean {
    return this.#said.delete(key);
  }

  /**
   * Forgets all keys of this kind (`kind:…`) except these, so that a condition that returns is
   * news.
   */
  retain(kind: string, keys: ReadonlySet<string>): void {
    for (const key of this.#said.keys()) {
      if (key.startsWith(`${kind}:`) && !keys.has(key)) this.#said.delete(key);
    }
  }
}
