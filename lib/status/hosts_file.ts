// The adapter for /etc/hosts: which registries gilly-redirect leads to the registry proxy. Its lines
// are there only while the proxy answers.

/** The file that decides about every look-up of this host. */
export const HOSTS_FILE = "/etc/hosts";

/** The end of the line that gilly-redirect writes; see systemd/gilly-redirect. */
const MARK = " # gilly";

/** Returns the registries that are redirected according to this text of a hosts file. */
export function redirectedIn(text: string): ReadonlySet<string> {
  const line = text.split("\n").find((line) => line.endsWith(MARK) && !line.startsWith("#"));
  return new Set(line?.slice(0, -MARK.length).split(/\s+/).slice(1));
}

/** Returns the lines of somebody else that give one of these hosts an address, as `ADDRESS HOST`. */
export function foreignIn(text: string, hosts: readonly string[]): string[] {
  return text.split("\n").filter((line) => !line.endsWith(MARK)).flatMap((line) => {
    const [address, ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    return names.filter((name) => hosts.includes(name.toLowerCase())).map((name) => `${address} ${name}`);
  });
}

/** Returns the registries that are redirected now; none if the file cannot be read. */
export async function redirectedHosts(file = HOSTS_FILE): Promise<ReadonlySet<string>> {
  try {
    return redirectedIn(await Deno.readTextFile(file));
  } catch {
    return new Set();
  }
}
