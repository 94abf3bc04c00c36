// Runs main.ts as a child with the very permissions that the compiled binary has.

import { PERMISSIONS, V8_FLAGS } from "../../tools/compile.ts";
import { PROJECT } from "../../tools/deno.ts";
import { Gilly, type Launch } from "../e2e/gilly.ts";

/** How a run ended. */
export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The permissions and V8 flags of the compiled binary. */
export function permissions(): string[] {
  return [...PERMISSIONS, V8_FLAGS];
}

/** The environment without what a service manager would have put there, a proxy (DefaultEnvironment=) included. */
export function withoutServiceManager(): Record<string, string> {
  const { NOTIFY_SOCKET: _socket, RUNTIME_DIRECTORY: _folder, JOURNAL_STREAM: _stream, ...rest } = Deno.env.toObject();
  return Object.fromEntries(Object.entries(rest).filter(([name]) => !/_proxy$/i.test(name)));
}

/** Runs the program with these arguments, and more in its environment, to its end. */
export async function runProgram(argv: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  const { program, args, ...options } = launch(env);
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
export function startProgram(argv: readonly string[], env: Record<string, string> = {}): Gilly {
  return new Gilly(argv, undefined, launch(env));
}

/** How to start the program, with more in its environment. */
export function launch(env: Record<string, string> = {}): Launch {
  return {
    program: Deno.execPath(),
    args: ["run", "--quiet", ...permissions(), "main.ts"],
    cwd: PROJECT,
    env: { ...withoutServiceManager(), NO_COLOR: "1", ...env },
    clearEnv: true,
  };
}
