// A current Docker Engine with the containerd image store, from Debian sid. Its programs are
// unpacked once into the user's cache and mounted as /usr for that Engine alone; nothing is
// installed.

import { mustRun } from "../support/builds.ts";
import { isKept, keptPath, madeOnce } from "../support/kept_trees.ts";
import { missingPrograms, type RealEngine, startEngine } from "./engine.ts";

const SUITE = "sid";
/** The Engine; debootstrap adds its dependencies. */
const PACKAGES = "docker.io";
/** Increment when the way the tree is made changes. */
const EDITION = 2;
const ROOT = keptPath(`engine-${SUITE}-${EDITION}`);

/** What this machine lacks for a current Engine; debootstrap counts only if no tree is cached. */
export function missingForCurrentEngine(): string[] {
  const missing = missingPrograms(["unshare", "mount", ...(isKept(ROOT) ? [] : ["debootstrap", "dpkg-deb"])]);
  return Deno.uid() === 0 ? missing : [...missing, "root"];
}

/**
 * Like startEngine, with Debian sid's programs and the containerd image store. The first call on a
 * machine takes half a minute.
 */
export async function startCurrentEngine(
  dir: string,
  options: { readonly args?: readonly string[]; readonly launcher?: readonly string[] } = {},
): Promise<RealEngine> {
  const args = ["--feature", "containerd-snapshotter=true", ...(options.args ?? [])];
  return await startEngine(dir, { args, launcher: [...(options.launcher ?? []), ...PRIVATE_USR, await currentTree()] });
}

/**
 * Runs a command in its own mount namespace, where the first argument is mounted at /usr; the mount
 * ends with the last process in it. All other paths, sockets and data included, are the same as for
 * the tests and the kubelet. Kubelets with the dockershim use older API versions than the newest
 * Engines serve by default.
 */
const PRIVATE_USR = [
  ...["unshare", "--mount", "--propagation=slave", "sh", "-c"],
  'mount --bind "$0" /usr && exec env DOCKER_MIN_API_VERSION=1.24 "$@"',
];

/** The path of the tree that is mounted at /usr; it has containerd's programs, too. */
export async function currentTree(): Promise<string> {
  const root = await madeOnce(ROOT, async (root) => {
    await Deno.mkdir(root);
    // Unpacked but never configured: only a few programs and their libraries are used.
    await mustRun("debootstrap", ["--foreign", "--variant=minbase", `--include=${PACKAGES}`, SUITE, root]);
    const archives = `${root}/var/cache/apt/archives`;
    for await (const { name } of Deno.readDir(archives)) {
      if (name.endsWith(".deb")) await mustRun("sh", ["-c", UNPACK, `${archives}/${name}`, root]);
    }
    await Deno.remove(archives, { recursive: true });
  });
  return `${root}/usr`;
}

const UNPACK = 'dpkg-deb --fsys-tarfile "$0" | tar --extract --keep-directory-symlink --directory="$1"';
