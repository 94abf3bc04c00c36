// A limit on how many pulls run at once. Who waits is served in order and may give up.

/** A counting semaphore whose waiters leave when their signal is aborted. */
export class Places {
  #free: number;
  readonly #queue: (() => void)[] = [];

  /** `limit` is the number of tasks that may run at once, at least 1. */
  constructor(limit: number) {
    this.#free = limit;
  }

  /** Runs `task` when a place is free. Throws what it throws, or the signal's reason when aborted while waiting. */
  async with<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    await this.#take(signal);
    try {
      return await task();
    } finally {
      this.#give();
    }
  }

  #take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#queue.splice(this.#queue.indexOf(enter), 1);
        reject(signal.reason);
      };
      this.#queue.push(enter);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  // A place goes straight to the next in line, so that nobody slips in between.
  #give(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
