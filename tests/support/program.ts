// Runs main.ts as a child process with the permissions of the compiled binary.

import { PERMISSIONS, V8_FLAGS } from "../../tools/compile.ts";
import { PROJECT } from "../../tools/deno.ts";
import { Gilly, type Launch, type Run, runGilly } from "../e2e/gilly.ts";

/** Returns the permissions and V8 flags of the compiled binary. */
export function permissions(): string[] {
  return [...PERMISSIONS, V8_FLAGS];
}

/**
 * Returns the environment without the variables that a service manager would have set, including
 * those of a proxy (DefaultEnvironment=).
 */
export function withoutServiceManager(): Record<string, string> {
  const { NOTIFY_SOCKET: _socket, RUNTIME_DIRECTORY: _folder, JOURNAL_STREAM: _stream, ...rest } = Deno.env.toObject();
  return Object.fromEntries(Object.entries(rest).filter(([name]) => !/_proxy$/i.test(name)));
}

/** Runs the program with these arguments and extra environment until it ends. */
export async function runProgram(argv: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  return await runGilly(argv, launch(env));
}

/**
 * Starts the program with these arguments and extra environment; `onLine` receives each line of its
 * journal.
 */
export function startProgram(
  argv: readonly string[],
  env: Record<string, string> = {},
  onLine?: (line: string) => void,
): Gilly {
  return new Gilly(argv, { launch: launch(env), ...(onLine && { onLine }) });
}

/** Returns how to start the program with extra environment. */
export function launch(env: Record<string, string> = {}): Launch {
  return {
    program: Deno.execPath(),
    args: ["run", "--quiet", ...permissions(), "main.ts"],
    cwd: PROJECT,
    env: { ...withoutServiceManager(), NO_COLOR: "1", ...env },
    clearEnv: true,
  };
}
