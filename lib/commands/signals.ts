// How a command handles the signals that stop it or reload its config.

/**
 * Aborts its `signal` on the first SIGTERM or SIGINT, and calls `reload` on SIGHUP, until it is
 * disposed of. A second signal ends the process as if it were not handled.
 */
export class ShutdownSignal implements Disposable {
  readonly #controller = new AbortController();
  readonly #interrupt = () => this.#stop(130);
  readonly #terminate = () => this.#stop(143);
  readonly #reload: (() => void) | undefined;
  #code: number | undefined;

  constructor(reload?: () => void) {
    this.#reload = reload;
    Deno.addSignalListener("SIGINT", this.#interrupt);
    Deno.addSignalListener("SIGTERM", this.#terminate);
    if (reload !== undefined) Deno.addSignalListener("SIGHUP", reload);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The exit code after a stop, as in shells: 128 plus the number of the signal. */
  get code(): number | undefined {
    return this.#code;
  }

  [Symbol.dispose](): void {
    this.#leaveToTheSystem();
    if (this.#reload !== undefined) Deno.removeSignalListener("SIGHUP", this.#reload);
  }

  #stop(code: number): void {
    this.#code = code;
    this.#leaveToTheSystem();
    this.#controller.abort(new DOMException("stopped by a signal", "AbortError"));
  }

  #leaveToTheSystem(): void {
    Deno.removeSignalListener("SIGINT", this.#interrupt);
    Deno.removeSignalListener("SIGTERM", this.#terminate);
  }
}
