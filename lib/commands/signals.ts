// What a command does when somebody asks it to end, or to read its config again.

/**
 * Ends its `signal` at the first SIGTERM or SIGINT, and calls `reload` at SIGHUP, from now until it is disposed of. A second
 * signal ends the process as if nobody listened.
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

  /** Once stopped, 128 and the number of the signal, as shells count. */
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
