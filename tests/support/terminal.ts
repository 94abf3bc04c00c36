// A terminal for tests, made by util-linux's script(1), with a minimal emulator that reads its
// screen.

import { missingPrograms } from "../e2e/engine.ts";
import { launch } from "./program.ts";

/** Returns what this machine lacks for a terminal, in words. */
export function missingForTerminal(): string[] {
  return missingPrograms(["script"]);
}

/** The program on a terminal of 80 columns and 24 rows, and what a user would see on it. */
export class Terminal {
  /** Everything that was written to it. */
  raw = "";
  readonly #child: Deno.ChildProcess;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array>;
  readonly #read: Promise<void>;
  #look: () => void = () => {};

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#keys = child.stdin.getWriter();
    this.#read = this.#listen();
  }

  /** Starts main.ts with these arguments. */
  static run(argv: readonly string[]): Terminal {
    const { program, args, ...options } = launch();
    const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
    const command = `stty cols 80 rows 24; exec ${[program, ...args, ...argv].map(quote).join(" ")}`;
    const script = ["--quiet", "--return", "--command", command, "/dev/null"];
    const pipes = { stdin: "piped", stdout: "piped", stderr: "null" } as const;
    return new Terminal(new Deno.Command("script", { ...options, ...pipes, args: script }).spawn());
  }

  /** Returns the lines on the screen and those scrolled off it. */
  screen(): string[] {
    const lines = [""];
    let row = 0;
    // deno-lint-ignore no-control-regex
    for (const [token, up] of this.raw.matchAll(/\x1b\[(\d*)A|\x1b\[J|\r|\n|[^\x1b\r\n]+/g)) {
      if (up !== undefined) row = Math.max(0, row - Number(up));
      else if (token === "\x1b[J") lines.splice(row, lines.length, "");
      else if (token === "\n") lines[++row] ??= "";
      else if (token !== "\r") lines[row] += token;
    }
    const wide = lines.find((line) => line.length > 80);
    if (wide !== undefined) throw new Error(`wider than the terminal: ${wide}`);
    return lines;
  }

  /** The screen as one text, without the echo of Ctrl-C. */
  get text(): string {
    return this.screen().join("\n").replace(/\^C/, "");
  }

  /** Waits until `accept` accepts the screen; throws if the program ends first. */
  async until(accept: (screen: string[]) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#look = () => accept(this.screen()) && resolve();
    this.#look();
    await Promise.race([promise, this.#read.then(() => Promise.reject(new Error(`it ended before: ${this.raw}`)))]);
    this.#look = () => {};
  }

  /** Types these characters; `\x03` is Ctrl-C. */
  async type(keys: string): Promise<void> {
    await this.#keys.write(new TextEncoder().encode(keys));
  }

  /** Waits for the program to end and returns its exit code. */
  async ended(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#read;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keys.close().catch(() => {});
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has already ended.
    }
    await this.#read;
    await this.#child.status;
  }

  async #listen(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) {
      this.raw += decoder.decode(chunk, { stream: true });
      this.#look();
    }
  }
}
