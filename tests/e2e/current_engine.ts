// A current Docker Engine with the containerd image store: Debian sid's, whose programs are unpacked once into the user's
// cache and seen as /usr by that Engine alone. Nothing is installed, and no other process sees another /usr.

import { missingPrograms, type RealEngine, startEngine } from "./engine.ts";

const SUITE = "sid";
/** The Engine, with all that it needs below /usr. */
const PACKAGES = "docker.io";
/** Goes up when the way the tree is made changes. */
const EDITION = 1;

/** What a current Engine lacks here, in words; debootstrap only where no tree has been kept. */
export function missingForCurrentEngine(): string[] {
  const missing = missingPrograms([
    "unshare",
    "mount",
    ...(isDirectory(treePath()) ? [] : ["debootstrap", "dpkg-deb"]),
  ]);
  return Deno.uid() === 0 ? missing : [...missing, "root"];
}

/** As startEngine, with Debian sid's programs and the containerd image store. The first call takes half a minute. */
export async function startCurrentEngine(
  dir: string,
  options: { readonly args?: readonly string[]; readonly launcher?: readonly string[] } = {},
): Promise<RealEngine> {
  const args = ["--feature", "containerd-snapshotter=true", ...(options.args ?? [])];
  return await startEngine(dir, { args, launcher: [...(options.launcher ?? []), ...PRIVATE_USR, await currentTree()] });
}

/**
 * Runs a command in a mount namespace of its own, in which the first argument is /usr; the mount goes with its last
 * process. Everything else, sockets and data included, lies where it lies for the tests and for the kubelet.
 * Kubelets of the dockershim's days ask for older API versions than newest Engines serve unasked.
 */
const PRIVATE_USR = [
  ...["unshare", "--mount", "--propagation=slave", "sh", "-c"],
  'mount --bind "$0" /usr && exec env DOCKER_MIN_API_VERSION=1.24 "$@"',
];

/** The path of the tree that stands for /usr. */
async function currentTree(): Promise<string> {
  const path = treePath();
  if (isDirectory(path)) return path;
  const partial = `${path}.${Deno.pid}`;
  await Deno.mkdir(partial, { recursive: true });
  try {
    // Unpacked, but never configured: a few programs and their libraries are all that is wanted of it.
    await run("debootstrap", "--foreign", "--variant=minbase", `--include=${PACKAGES}`, SUITE, partial);
    const archives = `${partial}/var/cache/apt/archives`;
    for await (const { name } of Deno.readDir(archives)) {
      if (name.endsWith(".deb")) await run("sh", "-c", UNPACK, `${archives}/${name}`, partial);
    }
    // Whole or not at all, and two test runs may make it at once.
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
