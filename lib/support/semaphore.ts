// A limit on how many tasks run at once. Waiters are served in order, and may leave or let others
// go first.

/**
 * Called while a task is queued: reports whether all others may go first. The signal is aborted
 * when the wait ends.
 */
export type ShouldYield = (signal: AbortSignal) => Promise<boolean>;

/** A task in the queue. */
interface Waiter {
  readonly enter: () => void;
  /** On the first call, asks whether others may go first. */
  readonly probe: () => void;
}

/** A counting semaphore whose waiters leave when their signal is aborted. */
export class Semaphore {
  #free: number;
  readonly #queue: Waiter[] = [];
  /** Waiters that have let others go first. */
  readonly #yielding: Waiter[] = [];
  readonly #probeAbove: number;

  /**
   * `limit` is the number of tasks that may run at once, at least 1. A queue longer than
   * `probeAbove` is probed.
   */
  constructor(limit: number, probeAbove = 0) {
    this.#free = limit;
    this.#probeAbove = probeAbove;
  }

  /**
   * Runs `task` when a slot is free. `shouldYield` is called when the queue is longer than
   * `probeAbove`; if it throws, the task keeps its place. Throws what `task` throws, or the
   * signal's reason if aborted while waiting.
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
      // Probes the head of the queue too: every later waiter waits for it.
      if (this.#queue.length > this.#probeAbove) { for (const { probe } of this.#queue) probe(); }
    });
  }

  // A free slot goes directly to the next waiter, so that no other task can take it first.
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
