// Runs main.ts as a child with the very permissions that the compiled binary has.

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

/** Runs the program with these arguments to its end. */
export async function runProgram(argv: readonly string[]): Promise<Run> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", ...await permissions(), "main.ts", ...argv],
    cwd: PROJECT,
    env: { ...withoutServiceManager(), NO_COLOR: "1" },
    clearEnv: true,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
