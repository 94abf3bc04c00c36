// The compiled program as a child process of a test: its journal line by line, and how it ended.

import { endsWithin } from "../../lib/support/timeouts.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { GILLY } from "../support/requirements.ts";

/** How a process ended: its exit code, and how long it took after the signal. */
export interface Ending {
  readonly code: number;
  readonly milliseconds: number;
}

/** What to start in place of the compiled program; `args` come before its own. */
export interface Launch extends Pick<Deno.CommandOptions, "cwd" | "env" | "clearEnv"> {
  readonly program: string;
  readonly args: readonly string[];
}

/** How a run ended, and what it printed. */
export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs dist/gilly, or what `launch` starts in its place, until it exits. */
export async function runGilly(args: readonly string[], launch: Launch = COMPILED): Promise<Run> {
  const { program, args: first, ...options } = launch;
  const command = new Deno.Command(program, { ...options, args: [...first, ...args], stdin: "null" });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

const COMPILED: Launch = { program: GILLY, args: [] };

interface Waiter {
  readonly pattern: RegExp;
  readonly found: PromiseWithResolvers<string>;
}

/** What to start, and where its journal goes. */
interface Follow {
  /** Its standard error is appended to this file. */
  readonly logFile?: string;
  /** Another build; the default is dist/gilly. */
  readonly launch?: Launch;
  readonly onLine?: (line: string) => void;
}

/** A process of dist/gilly, or of another build. */
export class Gilly {
  /** Every line it has written to standard error, oldest first. */
  readonly journal: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<void>;
  #waiters: Waiter[] = [];
  #ended = false;
  readonly #onLine: (line: string) => void;

  /** Starts it with these arguments. */
  constructor(args: readonly string[], { logFile = "/dev/null", launch = COMPILED, onLine = () => {} }: Follow = {}) {
    this.#onLine = onLine;
    const { program, args: first, ...options } = launch;
    this.#child = new Deno.Command(program, {
      ...options,
      args: [...first, ...args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#read = this.#readJournal(logFile);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Sends a signal that does not end it. */
  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /**
   * Returns the first line that matches, once it is written. Throws if the process ends or the time
   * runs out first.
   */
  async waitForLine(pattern: RegExp): Promise<string> {
    const there = this.journal.find((line) => pattern.test(line));
    if (there !== undefined) return there;
    if (this.#ended) throw new Error(`gilly has ended and never said ${pattern}`);
    const found = Promise.withResolvers<string>();
    this.#waiters.push({ pattern, found });
    if (await endsWithin(PATIENCE_MS, found.promise)) return await found.promise;
    throw new Error(`gilly did not say ${pattern} within ${PATIENCE_MS / 1000} s`);
  }

  /** Returns the next line it writes. Throws if the process ends first. */
  async nextLine(): Promise<string> {
    if (this.#ended) throw new Error("gilly has ended and says no more");
    const found = Promise.withResolvers<string>();
    this.#waiters.push({ pattern: /^/, found });
    return await found.promise;
  }

  /** Resolves to its exit code once it has ended. */
  async ended(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#read;
    return code;
  }

  /** Sends the signal and waits for the end. Harmless if it has already ended. */
  async end(signal: Deno.Signal = "SIGTERM"): Promise<Ending> {
    const start = performance.now();
    try {
      this.#child.kill(signal);
    } catch {
      // It has already ended.
    }
    const code = await this.ended();
    return { code, milliseconds: performance.now() - start };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }

  async #readJournal(logFile: string): Promise<void> {
    using file = await Deno.open(logFile, { create: true, append: true });
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.#child.stderr) {
      await file.write(chunk);
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#hear(line);
    }
    this.#ended = true;
    for (const { pattern, found } of this.#waiters) found.reject(new Error(`gilly ended and never said ${pattern}`));
  }

  #hear(line: string): void {
    this.journal.push(line);
    this.#onLine(line);
    for (const { pattern, found } of this.#waiters) {
      if (pattern.test(line)) found.resolve(line);
    }
  }
}
