// The file tree of a host as a fleet has it: the bare host's, and what Ansible and a cloud bring or
// need. Made once from the cached tree, and kept next to it.

import { baseTree } from "./base_tree.ts";

/** Ansible needs Python, python3-apt and a way in; an image of a cloud has cloud-init and curl. */
const PACKAGES = ["python3", "python3-apt", "openssh-server", "cloud-init", "curl"];
/** Increment when the list above changes. */
const EDITION = 1;

/** The path of the tree; the first call on a machine takes about 20 s more than `baseTree`. */
export async function fleetTree(): Promise<string> {
  const base = await baseTree();
  const path = `${base}-fleet-${EDITION}`;
  if (await exists(path)) return path;
  const partial = `${path}.${Deno.pid}`;
  try {
    await run("cp", ["--archive", base, partial]);
    // Hosts share this machine's network: no server of theirs may take its ports.
    await run("chroot", [partial, "systemctl", "mask", "--quiet", "ssh.service", "ssh.socket"]);
    // The lists of a tree that was kept for weeks name files that Debian has replaced.
    await run("chroot", [partial, "apt-get", "update", "--quiet=2"]);
    await run("chroot", [
      ...[partial, "apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends"],
      ...PACKAGES,
    ]);
    await run("chroot", [partial, "apt-get", "clean"]);
    // The rename makes it complete or absent; two test runs may make it at once.
    await Deno.rename(partial, path).catch(async (error) => {
      if (!await exists(path)) throw error;
    });
  } finally {
    await Deno.remove(partial, { recursive: true }).catch(() => {});
  }
  return path;
}

async function run(program: string, args: string[]): Promise<void> {
  const env = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
  const { success, stdout, stderr } = await new Deno.Command(program, { args, env }).output();
  const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).slice(-2000)).join("");
  if (!success) throw new Error(`${program} ${args.join(" ")} failed: ${said}`);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
