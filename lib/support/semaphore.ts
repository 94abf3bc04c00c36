// A limit on how many pulls run at once. Who waits is served in order and may give up, or let others go first.

/** What who waits finds out meanwhile: whether everybody else may go first. Its signal is aborted when the wait is over. */
export type Yields = (signal: AbortSignal) => Promise<boolean>;

/** One who waits in line. */
interface Waiter {
  readonly enter: () => void;
  /** Finds out whether others may go first, the first time it is told to. */
  readonly ask: () => void;
}

/** A counting semaphore whose waiters leave when their signal is aborted. */
export class Places {
  #free: number;
  readonly #queue: Waiter[] = [];
  /** Those who let others go first. */
  readonly #last: Waiter[] = [];
  readonly #shortLine: number;

  /** `limit` is the number of tasks that may run at once, at least 1; a line of `shortLine` is not worth a question. */
  constructor(limit: number, shortLine = 0) {
    this.#free = limit;
    this.#shortLine = shortLine;
  }

  /**
   * Runs `task` when a place is free. `yields` is asked when the line has become long; a failure of its own is a no.
   * Throws what `task` throws, or the signal's reason when aborted while waiting.
   */
  async with<T>(signal: AbortSignal, task: () => Promise<T>, yields?: Yields): Promise<T> {
    await this.#take(signal, yields);
    try {
      return await task();
    } finally {
      this.#give();
    }
  }

  #take(signal: AbortSignal, yields: Yields | undefined): Promise<void> {
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
        ask: once(() =>
          void yields?.(over.signal).catch(() => false).then((yielding) => {
            if (yielding && remove(this.#queue, waiter)) this.#last.push(waiter);
          })
        ),
      };
      const leave = () => {
        end();
        remove(this.#queue, waiter);
        remove(this.#last, waiter);
        reject(signal.reason);
      };
      this.#queue.push(waiter);
      signal.addEventListener("abort", leave, { once: true });
      // Those in front as well: it is for them that everybody behind has to wait.
      if (this.#queue.length > this.#shortLine) { for (const { ask } of this.#queue) ask(); }
    });
  }

  // A place goes straight to the next in line, so that nobody slips in between.
  #give(): void {
    const next = this.#queue.shift() ?? this.#last.shift();
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

function remove<T>(line: T[], one: T): boolean {
  const index = line.indexOf(one);
  if (index >= 0) line.splice(index, 1);
  return index >= 0;
}
