// Folders for tests: makes a temporary one, and reads the files in one.

/** Runs `use` with a temporary folder, removes the folder afterward, and returns what `use` did. */
export async function inTemporaryFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await Deno.makeTempDir({ prefix: "gilly-test-" });
  try {
    return await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Returns the path from `root` and the text of every file below it, in no particular order. */
export async function filesUnder(root: string, folder = ""): Promise<[string, string][]> {
  const found: [string, string][] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${root}${folder}`)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await filesUnder(root, path));
    else found.push([path, await Deno.readTextFile(`${root}${path}`)]);
  }
  return found;
}
