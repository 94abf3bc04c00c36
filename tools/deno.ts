// What the tools share: the project, the time of a build, and the Deno that runs them, run once more.

/** The project's folder, with a slash at its end. */
export const PROJECT = new URL("..", import.meta.url).pathname;

/** The time of everything that is built, in seconds since 1970: SOURCE_DATE_EPOCH (reproducible-builds.org), or 2020. */
export function buildEpoch(): number {
  return Number(Deno.env.get("SOURCE_DATE_EPOCH") ?? 1577836800);
}

/** Runs Deno in the project's folder, with more in its environment; its standard output. Throws with what it said. */
export async function deno(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    // Its own backtrace tells nobody anything.
    env: { NO_COLOR: "1", RUST_BACKTRACE: "0", RUST_LIB_BACKTRACE: "0", ...env },
    cwd: PROJECT,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (success) return text(stdout);
  throw new Error(`deno ${args[0]} failed: ${text(stderr).trim()}`);
}
