// The file tree of a host as a fleet has it: the bare host's, and what Ansible and a cloud bring or
// need. Made once from the cached tree, and kept next to it.

import { mustRun } from "../support/builds.ts";
import { madeOnce } from "../support/kept_trees.ts";
import { baseTree } from "./base_tree.ts";

/** Ansible needs Python, python3-apt and a way in; an image of a cloud has cloud-init and curl. */
const PACKAGES = ["python3", "python3-apt", "openssh-server", "cloud-init", "curl"];
/** Increment when the list above changes. */
const EDITION = 1;

/** The path of the tree; the first call on a machine takes about 20 s more than `baseTree`. */
export async function fleetTree(): Promise<string> {
  const base = await baseTree();
  return await madeOnce(`${base}-fleet-${EDITION}`, async (tree) => {
    const env = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
    const within = (...command: string[]) => mustRun("chroot", [tree, ...command], { env });
    await mustRun("cp", ["--archive", base, tree]);
    // Hosts share this machine's network: no server of theirs may take its ports.
    await within("systemctl", "mask", "--quiet", "ssh.service", "ssh.socket");
    // The lists of a tree that was kept for weeks name files that Debian has replaced.
    await within("apt-get", "update", "--quiet=2");
    await within("apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends", ...PACKAGES);
    await within("apt-get", "clean");
  });
}
