// Waiting for a call of a fake: the part of a journal that both runtimes' fakes share.

/** Wakes those that wait for a call. */
export class CallWaiters<Call> {
  readonly #journal: readonly Call[];
  readonly #waiters = new Set<() => void>();

  /** `journal` has the calls, and grows. */
  constructor(journal: readonly Call[]) {
    this.#journal = journal;
  }

  /** Resolves with the first call in the journal, past or future, that the predicate accepts. */
  waitFor(predicate: (call: Call) => boolean): Promise<Call> {
    const { promise, resolve } = Promise.withResolvers<Call>();
    const look = () => {
      const call = this.#journal.find(predicate);
      if (call === undefined) return;
      this.#waiters.delete(look);
      resolve(call);
    };
    this.#waiters.add(look);
    look();
    return promise;
  }

  /** Called when the journal, or a call in it, has changed. */
  tell(): void {
    for (const look of [...this.#waiters]) look();
  }
}
