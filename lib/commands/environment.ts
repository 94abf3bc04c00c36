// What a command finds around it: the terminal it writes to, the user who runs it, and the environment's proxies.

/** Columns and rows of a stream that is a terminal; undefined when it is a pipe or a file. */
export function sizeOf(stream: { isTerminal(): boolean }): { columns: number; rows: number } | undefined {
  if (!stream.isTerminal()) return undefined;
  try {
    const { columns, rows } = Deno.consoleSize();
    // A terminal that does not know its size says 0.
    return { columns: columns || 80, rows: rows || 24 };
  } catch {
    return { columns: 80, rows: 24 };
  }
}

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

// The kubelet and the sockets are on this host, and no variable may send what is said to them elsewhere. Deno reads these
// variables whenever it makes a client, so they are taken out before anything connects.
const PROXIES = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy"] as const;

/** A host of NO_PROXY is connected to by its name, and so is the Engine's socket when it is `*`: its calls would leave. */
const EXCEPTIONS = ["NO_PROXY", "no_proxy"] as const;

/** Every variable that Deno's clients obey (deno ext/fetch/proxy.rs); the binary may read and unset these. */
export const PROXY_VARIABLES: readonly string[] = [...PROXIES, ...EXCEPTIONS];

let ignored: readonly string[] = [];

/** Takes every one of PROXY_VARIABLES out of this process. */
export function ignoreProxies(): void {
  ignored = PROXIES.filter((name) => Deno.env.get(name));
  for (const name of PROXY_VARIABLES) Deno.env.delete(name);
}

/** The variables that named a proxy before `ignoreProxies`; their values may hold a password and are not kept. */
export function ignoredProxies(): readonly string[] {
  return ignored;
}
