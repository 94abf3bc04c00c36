// A signal that follows another and can let go of it again. AbortSignal.any cannot: each signal that it makes leaves a trace
// in its sources for as long as those live (Deno 2.6), and so does each fetch; our sources live as long as the daemon.

/** Has a signal that is aborted when `source` is, with its reason, until it is disposed of. */
export class LinkedSignal implements Disposable {
  readonly #source: AbortSignal;
  readonly #own = new AbortController();
  readonly #follow = () => this.#own.abort(this.#source.reason);

  constructor(source: AbortSignal) {
    this.#source = source;
    if (source.aborted) this.#follow();
    else source.addEventListener("abort", this.#follow);
  }

  get signal(): AbortSignal {
    return this.#own.signal;
  }

  /** Aborts the own signal alone; the source goes on. */
  abort(): void {
    this.#own.abort();
  }

  [Symbol.dispose](): void {
    this.#source.removeEventListener("abort", this.#follow);
  }
}
