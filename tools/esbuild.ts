// Puts the pinned esbuild where `deno bundle` looks for it. Otherwise Deno would fetch and run
// whatever the registry has under that version.

import { HOST } from "./architectures.ts";
import { deno } from "./deno.ts";
import { checkPin, PartMissingError, versionOf } from "./pins.ts";

/** Ensures that Deno's cache has the pinned esbuild. Throws PinError if it has another. */
export async function provideEsbuild(): Promise<void> {
  const version = versionOf("esbuild");
  // npm has the same names for architectures.
  const platform = `${Deno.build.os}-${HOST}`;
  const { denoDir } = JSON.parse(await deno(["info", "--json"])) as { denoDir: string };
  const path = `${denoDir}/dl/esbuild-${version}/esbuild-${platform}`;
  if (await exists(path)) return await checkPin("esbuild", path);
  await deno(["cache", "--quiet", "--no-config", "--no-lock", `npm:@esbuild/${platform}@${version}`]);
  const fetched = await packageFile(`${denoDir}/npm`, `@esbuild/${platform}/${version}/bin/esbuild`);
  await checkPin("esbuild", fetched);
  await Deno.mkdir(path.replace(/\/[^/]*$/, ""), { recursive: true });
  const draft = `${path}.${Deno.pid}`;
  await Deno.copyFile(fetched, draft);
  await Deno.chmod(draft, 0o755);
  await Deno.rename(draft, path);
}

/**
 * Returns the path of `NAME/VERSION/FILE` in Deno's cache of npm packages. The cache has a folder
 * for each registry; if npm is reached through a proxy, that folder is the proxy's and may be
 * several levels deep. Throws PartMissingError.
 */
export async function packageFile(cache: string, file: string): Promise<string> {
  let folders = [cache];
  for (let depth = 0; depth < 4; depth++) {
    const found = folders.map((folder) => `${folder}/${file}`);
    for (const path of found) if (await exists(path)) return path;
    folders = (await Promise.all(folders.map(subfolders))).flat();
  }
  throw new PartMissingError(`cannot find ${file} below ${cache}`);
}

async function subfolders(folder: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  return entries.filter(({ isDirectory, name }) => isDirectory && !name.startsWith("@")).map(({ name }) =>
    `${folder}/${name}`
  );
}

function exists(path: string): Promise<boolean> {
  return Deno.stat(path).then(() => true, () => false);
}
