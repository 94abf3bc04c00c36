// A disk of a given size, which can be full: a tmpfs in its own folder. Needs root.

/** A mounted disk; it is unmounted when disposed. */
export interface SmallDisk extends AsyncDisposable {
  readonly dir: string;
  /** Makes it larger, or smaller as long as its contents fit. */
  resize(bytes: number): Promise<void>;
}

/** What this machine lacks for mounting. */
export function missingForTmpfs(): string[] {
  return Deno.uid() === 0 ? [] : ["root"];
}

/** Mounts a disk of that many bytes, on `dir` or a new folder. */
export async function mountTmpfs(bytes: number, dir?: string): Promise<SmallDisk> {
  const place = dir ?? await Deno.makeTempDir({ prefix: "gilly-disk-" });
  await Deno.mkdir(place, { recursive: true });
  await run("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", place);
  return {
    dir: place,
    resize: (bytes) => run("mount", "-o", `remount,size=${bytes}`, place),
    async [Symbol.asyncDispose]() {
      await run("umount", "--lazy", place);
      if (dir === undefined) await Deno.remove(place);
    },
  };
}

async function run(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}
