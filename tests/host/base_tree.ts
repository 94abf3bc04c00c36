// The file tree of a bare Debian host with systemd and nothing else, made once by debootstrap and kept in the user's
// cache. Hosts boot from it read-only, so it stays as it was made.

import { notOnPath } from "../support/programs.ts";

/** What a worker has before Docker, the kubelet or Gilly: systemd, and the few tools that every Debian installs. */
const PACKAGES = ["systemd", "systemd-sysv", "dbus", "ca-certificates", "procps", "iproute2", "iptables", "nftables"];
/** A release of Debian: 12, with systemd 252, or 13, with systemd 257. */
export type Suite = "bookworm" | "trixie";
/** Increment when the list above changes. */
const EDITION = 2;

/** What this machine lacks for a bare host; debootstrap counts only if no tree is cached. */
export function missingForHost(suite: Suite = "bookworm"): string[] {
  const programs = ["systemd-nspawn", "nsenter", "tar", ...(isDirectory(treePath(suite)) ? [] : ["debootstrap"])];
  const missing = notOnPath(programs);
  return Deno.uid() === 0 ? missing : [...missing, "root"];
}

/** The path of a release's tree; the first call on a machine takes about a minute. */
export async function baseTree(suite: Suite = "bookworm"): Promise<string> {
  const path = treePath(suite);
  if (isDirectory(path)) return path;
  const partial = `${path}.${Deno.pid}`;
  await Deno.mkdir(partial, { recursive: true });
  try {
    const args = ["--variant=minbase", `--include=${PACKAGES.join(",")}`, suite, partial];
    const { success, stdout } = await new Deno.Command("debootstrap", { args, stderr: "null" }).output();
    if (!success) throw new Error(`debootstrap failed: ${new TextDecoder().decode(stdout).slice(-2000)}`);
    await Deno.remove(`${partial}/var/cache/apt/archives`, { recursive: true });
    // The Debian installer writes these files, debootstrap does not.
    await Deno.writeTextFile(`${partial}/etc/hostname`, "worker\n");
    await Deno.writeTextFile(`${partial}/etc/hosts`, "127.0.0.1 localhost\n127.0.1.1 worker\n::1 localhost\n");
    // The rename makes it complete or absent; two test runs may make it at once.
    await Deno.rename(partial, path).catch((error) => {
      if (!isDirectory(path)) throw error;
    });
  } finally {
    await Deno.remove(partial, { recursive: true }).catch(() => {});
  }
  return path;
}

function treePath(suite: Suite): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/root"}/.cache`;
  return `${cache}/gilly/host-${suite}-${EDITION}`;
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
