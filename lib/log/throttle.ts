// Says a thing once, and again only after growing intervals. Time is handed in.

/** Minutes after which an unchanged thing is said again; the last one repeats. */
const INTERVALS_MINUTES = [10, 30, 60, 360];

/** Hostile or merely busy nodes must not grow this without end; the oldest are forgotten first. */
const MOST_KEYS = 5000;

/** Keyed by what the sentence is about; a changed sentence is news and is said at once. */
export class Reminders {
  readonly #said = new Map<string, { text: string; times: number; nextAt: number }>();

  /** Whether `text` about `key` is to be said at `now` (milliseconds); notes that it was. */
  due(key: string, text: string, now: number): boolean {
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
  clear(key: string): boolean {
    return this.#said.delete(key);
  }

  /** Forgets every key of this kind (`kind:…`) but these, so that what comes back is news. */
  keepOnly(kind: string, keys: ReadonlySet<string>): void {
    for (const key of this.#said.keys()) {
      if (key.startsWith(`${kind}:`) && !keys.has(key)) this.#said.delete(key);
    }
  }
}
