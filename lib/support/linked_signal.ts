// A signal that follows another and can be detached. AbortSignal.any cannot: each signal it makes
// leaves a trace in its sources for as long as they live (Deno 2.6), as does each fetch, and the
// sources here live as long as the daemon.

/** Has a signal that is aborted with its source, for the same reason, until it is disposed. */
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

  /** Aborts only the own signal, not the source. */
  abort(): void {
    this.#own.abort();
  }

  [Symbol.dispose](): void {
    this.#source.removeEventListener("abort", this.#follow);
  }
}
