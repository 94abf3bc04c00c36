// The file tree of a bare Debian host with systemd and nothing else, made once by debootstrap and kept in the user's
// cache. Hosts boot from it read-only, so it stays as it was made.

import { mustRun } from "../support/builds.ts";
import { isKept, keptPath, madeOnce } from "../support/kept_trees.ts";
import { notOnPath } from "../support/programs.ts";

/** What a worker has before Docker, the kubelet or Gilly: systemd, and the few tools that every Debian installs. */
const PACKAGES = ["systemd", "systemd-sysv", "dbus", "ca-certificates", "procps", "iproute2", "iptables", "nftables"];
/** A release of Debian: 12, with systemd 252, or 13, with systemd 257. */
export type Suite = "bookworm" | "trixie";
/** Increment when the list above changes. */
const EDITION = 2;

/** What this machine lacks for a bare host; debootstrap counts only if no tree is cached. */
export function missingForHost(suite: Suite = "bookworm"): string[] {
  const programs = ["systemd-nspawn", "nsenter", "tar", ...(isKept(treePath(suite)) ? [] : ["debootstrap"])];
  const missing = notOnPath(programs);
  return Deno.uid() === 0 ? missing : [...missing, "root"];
}

/** The path of a release's tree; the first call on a machine takes about a minute. */
export function baseTree(suite: Suite = "bookworm"): Promise<string> {
  return madeOnce(treePath(suite), async (tree) => {
    await Deno.mkdir(tree, { recursive: true });
    await mustRun("debootstrap", ["--variant=minbase", `--include=${PACKAGES.join(",")}`, suite, tree]);
    await Deno.remove(`${tree}/var/cache/apt/archives`, { recursive: true });
    // The Debian installer writes these files, debootstrap does not.
    await Deno.writeTextFile(`${tree}/etc/hostname`, "worker\n");
    await Deno.writeTextFile(`${tree}/etc/hosts`, "127.0.0.1 localhost\n127.0.1.1 worker\n::1 localhost\n");
  });
}

function treePath(suite: Suite): string {
  return keptPath(`host-${suite}-${EDITION}`);
}
