// The file tree of a bare Debian host that no systemd runs, as an image is while it is made: what is written to it is
// gone with it.

import { type Outcome, outcomeOf } from "../support/outcome.ts";
import { baseTree } from "./base_tree.ts";

/** Makes such a tree; only root can. */
export async function makePackageTree(): Promise<PackageTree> {
  const lower = await baseTree();
  const directory = await Deno.makeTempDir({ prefix: "gilly-tree-" });
  const script = 'mount -t tmpfs tree "$1" && mkdir "$1/upper" "$1/work" "$1/tree" &&' +
    ' mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" tree "$1/tree"';
  const tree = new PackageTree(directory);
  const { code, err } = await tree.outside("sh", "-c", script, "sh", directory, lower);
  if (code === 0) return tree;
  await tree[Symbol.asyncDispose]();
  throw new Error(`cannot mount a tree: ${err}`);
}

export class PackageTree implements AsyncDisposable {
  /** Its path on this machine. */
  readonly path: string;
  readonly #directory: string;

  /** Called by makePackageTree. */
  constructor(directory: string) {
    this.#directory = directory;
    this.path = `${directory}/tree`;
  }

  /** Runs a shell script in the tree, as root, and returns how it ended. */
  run(script: string): Promise<Outcome> {
    return this.outside("chroot", this.path, "sh", "-c", script);
  }

  /** Runs a shell script in the tree and returns what it printed; throws when it fails. */
  async sh(script: string): Promise<string> {
    const { code, out, err } = await this.run(script);
    if (code !== 0) throw new Error(`in the tree, '${script}' ended with ${code}: ${err || out}`);
    return out;
  }

  /** Runs a program of this machine. */
  async outside(program: string, ...args: readonly string[]): Promise<Outcome> {
    const env = { LC_ALL: "C.UTF-8", DEBIAN_FRONTEND: "noninteractive" };
    return outcomeOf(await new Deno.Command(program, { args: [...args], env, stdin: "null" }).output());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.outside("sh", "-c", 'umount "$1/tree"; umount "$1"', "sh", this.#directory);
    await Deno.remove(this.#directory, { recursive: true });
  }
}
