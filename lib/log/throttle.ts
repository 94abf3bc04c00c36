// Lets a message through once, and again only after growing intervals. Time is an argument.

/** Minutes after which an unchanged thing is said again; the last one repeats. */
const INTERVALS_MINUTES = [10, 30, 60, 360];

/** Hostile or merely busy nodes must not grow this without end; the oldest are forgotten first. */
const MOST_KEYS = 5000;

/** Keyed by what the message is about; a message that changed is let through at once. */
export class Throttle {
  readonly #said = new Map<string, { text: string; times: number; nextAt: number }>();

  /** Whether to log `text` about `key` at `now` (milliseconds); remembers that it was. */
  shouldLog(key: string, text: string, now: number): boolean {
    const known = this.#said.get(key);
    const news = known === undefined || known.text !== text;
    if (!news && now < known.nextAt) return false;
    const times = news ? 0 : known.times + 1;
    const minutes = INTERVALS_MINUTES[Math.min(times, INTERVALS_MINUTES.length - 1)]!;
    this.#said.delete(key);
    this.#said.set(key, { text, times, nextAt: now + minutes * 60_000 });
    if (this.#said.size > MOST_KEYS) this.#said.delete(this.#said.keys().next().value!);
    return true;
  }

  /** Forgets a key; answers whether anything had been said about it. */
  forget(key: string): boolean {
    return this.#said.delete(key);
  }

  /** Forgets every key of this kind (`kind:…`) but these, so that what comes back is news. */
  retain(kind: string, keys: ReadonlySet<string>): void {
    for (const key of this.#said.keys()) {
      if (key.startsWith(`${kind}:`) && !keys.has(key)) this.#said.delete(key);
    }
  }
}
