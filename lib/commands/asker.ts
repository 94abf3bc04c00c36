// Who runs a command, for records that other people read.

/**
 * The name of the user who runs this process, of the one behind sudo where there is one, `uid N` where the number has no
 * name in /etc/passwd; undefined when /proc does not tell.
 */
export async function userName(): Promise<string | undefined> {
  try {
    const { uid } = await Deno.stat("/proc/self");
    const behindSudo = uid === 0 ? Deno.env.get("SUDO_USER") : undefined;
    if (behindSudo) return behindSudo;
    const passwd = await Deno.readTextFile("/etc/passwd");
    const [name] = passwd.split("\n").map((line) => line.split(":")).find(([, , id]) => Number(id) === uid) ?? [];
    return name || `uid ${uid}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return undefined;
  }
}
