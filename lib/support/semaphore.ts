// A limit on how many tasks run at once. Waiters are served in order, and may give up or let others go first.

/** Called while a task is queued: whether all others may go first. The signal is aborted when the wait is over. */
export type ShouldYield = (signal: AbortSignal) => Promise<boolean>;

/** A task in the queue. */
interface Waiter {
  readonly enter: () => void;
  /** Asks, the first time it is called, whether others may go first. */
  readonly probe: () => void;
}

/** A counting semaphore whose waiters leave when their signal is aborted. */
export class Semaphore {
  #free: number;
  readonly #queue: Waiter[] = [];
  /** Waiters that let others go first. */
  readonly #yielding: Waiter[] = [];
  readonly #probeAbove: number;

  /** `limit` is the number of tasks that may run at once, at least 1; a queue is probed when it is longer than `probeAbove`. */
  constructor(limit: number, probeAbove = 0) {
    this.#free = limit;
    this.#probeAbove = probeAbove;
  }

  /**
   * Runs `task` when a slot is free. `shouldYield` is called when the queue has become long; if it fails, the answer is no.
   * Throws what `task` throws, or the signal's reason when aborted while waiting.
   */
  async with<T>(signal: AbortSignal, task: () => Promise<T>, shouldYield?: ShouldYield): Promise<T> {
    await this.#acquire(signal, shouldYield);
    try {
      return await task();
    } finally {
      this.#release();
    }
  }

  #acquire(signal: AbortSignal, shouldYield: ShouldYield | undefined): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const over = new AbortController();
      const end = () => {
        over.abort();
        signal.removeEventListener("abort", leave);
      };
      const waiter: Waiter = {
        enter: () => {
          end();
          resolve();
        },
        probe: once(() =>
          void shouldYield?.(over.signal).catch(() => false).then((yielding) => {
            if (yielding && remove(this.#queue, waiter)) this.#yielding.push(waiter);
          })
        ),
      };
      const leave = () => {
        end();
        remove(this.#queue, waiter);
        remove(this.#yielding, waiter);
        reject(signal.reason);
      };
      this.#queue.push(waiter);
      signal.addEventListener("abort", leave, { once: true });
      // Those at the head as well: everybody behind waits for them.
      if (this.#queue.length > this.#probeAbove) { for (const { probe } of this.#queue) probe(); }
    });
  }

  // A slot goes straight to the next in the queue, so that nobody slips in between.
  #release(): void {
    const next = this.#queue.shift() ?? this.#yielding.shift();
    if (next === undefined) this.#free++;
    else next.enter();
  }
}

function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (!done) act();
    done = true;
  };
}

function remove<T>(queue: T[], one: T): boolean {
  const index = queue.indexOf(one);
  if (index >= 0) queue.splice(index, 1);
  return index >= 0;
}
