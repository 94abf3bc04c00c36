// A current Docker Engine with the containerd image store, from Debian sid. Its programs are
// unpacked once into the user's cache and mounted as /usr for that Engine alone; nothing is
// installed.

import { missingPrograms, type RealEngine, startEngine } from "./engine.ts";

const SUITE = "sid";
/** The Engine; debootstrap adds its dependencies. */
const PACKAGES = "docker.io";
/** Increment when the way the tree is made changes. */
const EDITION = 1;

/** What this machine lacks for a current Engine; debootstrap counts only if no tree is cached. */
export function missingForCurrentEngine(): string[] {
  const missing = missingPrograms([
    "unshare",
    "mount",
    ...(isDirectory(treePath()) ? [] : ["debootstrap", "dpkg-deb"]),
  ]);
  return Deno.uid() === 0 ? missing : [...missing, "root"];
}

/**
 * Like startEngine, with Debian sid's programs and the containerd image store. The first call takes
 * half a minute.
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
  const path = treePath();
  if (isDirectory(path)) return path;
  const partial = `${path}.${Deno.pid}`;
  await Deno.mkdir(partial, { recursive: true });
  try {
    // Unpacked but never configured: only a few programs and their libraries are used.
    await run("debootstrap", "--foreign", "--variant=minbase", `--include=${PACKAGES}`, SUITE, partial);
    const archives = `${partial}/var/cache/apt/archives`;
    for await (const { name } of Deno.readDir(archives)) {
      if (name.endsWith(".deb")) await run("sh", "-c", UNPACK, `${archives}/${name}`, partial);
    }
    // The rename makes it complete or absent; two test runs may make it at once.
    await Deno.rename(`${partial}/usr`, path).catch((error) => {
      if (!isDirectory(path)) throw error;
    });
  } finally {
    await Deno.remove(partial, { recursive: true }).catch(() => {});
  }
  return path;
}

const UNPACK = 'dpkg-deb --fsys-tarfile "$0" | tar --extract --keep-directory-symlink --directory="$1"';

async function run(program: string, ...args: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  if (success) return;
  const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).slice(-1000)).join("");
  throw new Error(`${program} ${args.join(" ")} failed: ${said}`);
}

function treePath(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/root"}/.cache`;
  return `${cache}/gilly/engine-${SUITE}-${EDITION}`;
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
