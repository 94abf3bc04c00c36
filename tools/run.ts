// Runs the programs that build a release.

/**
 * Runs a program, with additional environment variables, and returns its standard output. Throws
 * Error with its standard error if it fails.
 */
export async function run(
  program: string,
  args: readonly string[],
  options: Pick<Deno.CommandOptions, "cwd" | "env"> = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { ...options, args: [...args], stdin: "null" })
    .output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (success) return text(stdout);
  throw new Error(`${program} ${args.join(" ")}: ${text(stderr).trim()}`);
}
