// Runs main.ts as a child with the very permissions that the compiled binary has.

import { PERMISSIONS, V8_FLAGS } from "../../tools/compile.ts";
import { PROJECT } from "../../tools/deno.ts";
import { Gilly, type Launch, type Run, runGilly } from "../e2e/gilly.ts";

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
  return await runGilly(argv, launch(env));
}

/** Starts the program with these arguments, and more in its environment; each line of its journal goes to `onLine`. */
export function startProgram(
  argv: readonly string[],
  env: Record<string, string> = {},
  onLine?: (line: string) => void,
): Gilly {
  return new Gilly(argv, { launch: launch(env), ...(onLine && { onLine }) });
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
