// A program that a test keeps running, such as an Engine, a registry or a kubelet.

import { endsWithin } from "../../lib/support/timeouts.ts";
import { PATIENCE_MS } from "../support/patience.ts";

/**
 * A program that runs until it is stopped, with its standard error in a file. It is ready once it
 * has printed a given text.
 */
export class Daemon {
  readonly #program: string;
  readonly #args: readonly string[];
  readonly #logFile: string;
  #running: { readonly child: Deno.ChildProcess; readonly logged: Promise<void> } | undefined;

  constructor(program: string, args: readonly string[], logFile: string) {
    this.#program = program;
    this.#args = args;
    this.#logFile = logFile;
  }

  /** The process id while it runs. */
  get pid(): number | undefined {
    return this.#running?.child.pid;
  }

  /**
   * Starts it and returns the line on standard error with which the last of these texts has come.
   * Throws if it ends before that, or takes too long.
   */
  async start(...readyTexts: readonly string[]): Promise<string> {
    if (this.#running !== undefined) throw new Error(`${this.#program} runs already`);
    const child = new Deno.Command(this.#program, {
      args: [...this.#args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      env: { PATH: `${Deno.env.get("PATH")}:/usr/sbin:/sbin`, OTEL_TRACES_EXPORTER: "none" },
    }).spawn();
    const ready = Promise.withResolvers<string>();
    const logged = this.#log(child, readyTexts, ready);
    this.#running = { child, logged };
    try {
      if (await endsWithin(PATIENCE_MS, ready.promise)) return await ready.promise;
      throw new Error(`${this.#program} was not ready within ${PATIENCE_MS / 1000} s; see ${this.#logFile}`);
    } catch (error) {
      await this.stop("SIGKILL");
      throw error;
    }
  }

  /** Sends the signal and resolves once it has ended. Does nothing if it is not running. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    try {
      running.child.kill(signal);
    } catch {
      // It has already ended.
    }
    await running.child.status;
    await running.logged;
  }

  async #log(
    child: Deno.ChildProcess,
    readyTexts: readonly string[],
    ready: PromiseWithResolvers<string>,
  ): Promise<void> {
    using file = await Deno.open(this.#logFile, { create: true, append: true });
    const decoder = new TextDecoder();
    let awaited = readyTexts;
    let pending = "";
    for await (const chunk of child.stderr) {
      await file.write(chunk);
      if (awaited.length === 0) continue;
      const lines: string[] = (pending + decoder.decode(chunk, { stream: true })).split("\n");
      pending = lines.pop() ?? "";
      for (const line of lines) {
        awaited = awaited.filter((text) => !line.includes(text));
        if (awaited.length === 0) ready.resolve(line);
      }
    }
    ready.reject(new Error(`${this.#program} ended before it was ready; see ${this.#logFile}`));
  }
}

/** Returns what `work` does the first time that it does not fail, and throws what its last try throws. */
export async function tried<T>(times: number, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === times) throw error;
    }
  }
}
