// Runs main.ts as a child with the very permissions that the compiled binary has.

import { Gilly, type Launch } from "../e2e/gilly.ts";

/** How a run ended. */
export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The folder of deno.json. */
export const PROJECT = new URL("../../", import.meta.url);

/** The permissions and V8 flags of the compile task in deno.json. */
export async function permissions(): Promise<string[]> {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", PROJECT))) as {
    tasks: { compile: string };
  };
  return tasks.compile.split(" ").filter((word) => /^--(allow|deny|no-prompt|v8-flags)/.test(word));
}

/** The environment without what a service manager would have put there. */
export function withoutServiceManager(): Record<string, string> {
  const { NOTIFY_SOCKET: _socket, RUNTIME_DIRECTORY: _folder, JOURNAL_STREAM: _stream, ...rest } = Deno.env.toObject();
  return rest;
}

/** Runs the program with these arguments, and more in its environment, to its end. */
export async function runProgram(argv: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  const { program, args, ...options } = await launch(env);
  const { code, stdout, stderr } = await new Deno.Command(program, {
    ...options,
    args: [...args, ...argv],
    stdin: "null",
  })
    .output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Starts the program with these arguments, and more in its environment; its journal can be waited for. */
export async function startProgram(argv: readonly string[], env: Record<string, string> = {}): Promise<Gilly> {
  return new Gilly(argv, undefined, await launch(env));
}

/** How to start the program, with more in its environment. */
export async function launch(env: Record<string, string> = {}): Promise<Launch> {
  return {
    program: Deno.execPath(),
    args: ["run", "--quiet", ...await permissions(), "main.ts"],
    cwd: PROJECT,
    env: { ...withoutServiceManager(), NO_COLOR: "1", ...env },
    clearEnv: true,
  };
}
