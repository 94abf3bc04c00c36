// Folders of a test: one for its own use, and what lies in one.

/** Runs `use` with a folder that is gone afterwards. */
export async function inTemporaryFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "gilly-test-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Every file below `root`, by its path from there, with its text; in no order. */
export async function filesUnder(root: string, folder = ""): Promise<[string, string][]> {
  const found: [string, string][] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${root}${folder}`)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await filesUnder(root, path));
    else found.push([path, await Deno.readTextFile(`${root}${path}`)]);
  }
  return found;
}
