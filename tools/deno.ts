// What the tools share: the project's folder, the build time, and a way to run Deno.

/** The project's folder, with a trailing slash. */
export const PROJECT = new URL("..", import.meta.url).pathname;

/**
 * Returns the timestamp of everything that is built, in seconds since 1970: SOURCE_DATE_EPOCH
 * (reproducible-builds.org), or 2020.
 */
export function buildEpoch(): number {
  return Number(Deno.env.get("SOURCE_DATE_EPOCH") ?? 1577836800);
}

/**
 * Runs Deno in the project's folder, with additional environment variables; returns its standard
 * output. Throws Error with its standard error if it fails.
 */
export async function deno(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    // Deno's own backtraces are of no use here.
    env: { NO_COLOR: "1", RUST_BACKTRACE: "0", RUST_LIB_BACKTRACE: "0", ...env },
    cwd: PROJECT,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (success) return text(stdout);
  throw new Error(`deno ${args[0]} failed: ${text(stderr).trim()}`);
}
