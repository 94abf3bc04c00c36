// A signal that follows another and can let go of it again. AbortSignal.any cannot: each signal it makes leaves a trace in
// its sources for as long as those live (Deno 2.6), and so does each fetch; ours live as long as the daemon.

/** Has a signal that is aborted when `leader` is, with its reason, until it is disposed of. */
export class Follower implements Disposable {
  readonly #leader: AbortSignal;
  readonly #own = new AbortController();
  readonly #follow = () => this.#own.abort(this.#leader.reason);

  constructor(leader: AbortSignal) {
    this.#leader = leader;
    if (leader.aborted) this.#follow();
    else leader.addEventListener("abort", this.#follow);
  }

  get signal(): AbortSignal {
    return this.#own.signal;
  }

  /** Aborts the own signal alone; the leader goes on. */
  abort(): void {
    this.#own.abort();
  }

  [Symbol.dispose](): void {
    this.#leader.removeEventListener("abort", this.#follow);
  }
}
