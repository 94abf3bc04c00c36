// A test bench for install.sh: an unpacked release whose binary is a script, and a tree to install
// into (--root).

import { assertEquals } from "@std/assert";
import { PROJECT } from "../../tools/deno.ts";
import { FILES } from "../../tools/files.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { notOnPath } from "./programs.ts";

/** An unpacked release whose binary is a script, and an empty tree to install it into. */
export class Bench implements AsyncDisposable {
  readonly #directory = Deno.makeTempDirSync({ prefix: "gilly-install-" });
  readonly release = `${this.#directory}/release`;
  readonly root = `${this.#directory}/root`;

  constructor() {
    Deno.mkdirSync(this.root);
    for (const file of FILES) {
      Deno.mkdirSync(`${this.release}/${file}`.replace(/\/[^/]*$/, ""), { recursive: true });
      Deno.copyFileSync(PROJECT + file, `${this.release}/${file}`);
    }
    this.makeBinary("0.1.0");
  }

  makeBinary(version: string): void {
    Deno.writeTextFileSync(`${this.release}/gilly`, `#!/bin/sh\necho gilly ${version}\n`, { mode: 0o755 });
  }

  /** Replaces the release's binary with a script that runs the program from its sources. */
  makeRealBinary(): void {
    const run = `exec '${Deno.execPath()}' run --quiet --allow-all '${PROJECT}main.ts' "$@"`;
    Deno.writeTextFileSync(`${this.release}/gilly`, `#!/bin/sh\n${run}\n`, { mode: 0o755 });
  }

  async run(
    args: readonly string[],
    shell: readonly string[] = ["sh"],
    { env = {}, script = `${this.release}/install.sh` }: { env?: Record<string, string>; script?: string } = {},
  ): Promise<Outcome> {
    const [program = "sh", ...before] = shell;
    return outcomeOf(await new Deno.Command(program, { args: [...before, script, ...args], env }).output());
  }

  /** Installs into the tree; throws if install.sh fails. */
  async install(...args: string[]): Promise<string> {
    const { code, out, err } = await this.run(["--root", this.root, ...args]);
    assertEquals({ code, err }, { code: 0, err: "" });
    return out;
  }

  read(path: string): string {
    return Deno.readTextFileSync(`${this.root}/${path}`);
  }

  write(path: string, text: string): void {
    Deno.mkdirSync(`${this.root}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.writeTextFileSync(`${this.root}/${path}`, text);
  }

  has(path: string): boolean {
    try {
      return Deno.lstatSync(`${this.root}/${path}`) !== undefined;
    } catch {
      return false;
    }
  }

  /** Lists every file of the tree, or below a path of it, with the metadata that a change would alter. */
  async snapshot(path = ""): Promise<string> {
    const args = [`${this.root}/${path}`, "-printf", "%P %y %m %u:%g %i %s %T@ %l\n"];
    const { stdout } = await new Deno.Command("find", { args }).output();
    return new TextDecoder().decode(stdout).split("\n").sort().join("\n");
  }

  async paths(): Promise<string[]> {
    const { stdout } = await new Deno.Command("find", { args: [this.root, "!", "-type", "d", "-printf", "%P\n"] })
      .output();
    const accounts = /^etc\/(passwd|group|shadow|gshadow|\.pwd\.lock)/;
    return new TextDecoder().decode(stdout).split("\n").filter((path) => path !== "" && !accounts.test(path)).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#directory, { recursive: true });
  }
}

/** What this machine lacks for tests with a bench, in words. */
export const missing = [
  ...(Deno.uid() === 0 ? [] : ["root"]),
  ...(has("systemd-sysusers") ? [] : ["systemd-sysusers"]),
];

/** Registers a test with its own bench; it is ignored if something is missing. */
export function test(name: string, fn: (bench: Bench) => Promise<void>): void {
  Deno.test({
    name,
    ignore: missing.length > 0,
    async fn() {
      await using bench = new Bench();
      await fn(bench);
    },
  });
}

/** Reports whether a program is in PATH. */
export function has(program: string): boolean {
  return notOnPath([program]).length === 0;
}
