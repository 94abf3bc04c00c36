// Trees of files that take minutes to make: made once on a machine, and kept in the user's cache.

/** Returns the path in the user's cache at which the tree of this name is kept. */
export function keptPath(name: string): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/root"}/.cache`;
  return `${cache}/gilly/${name}`;
}

/** Reports whether the tree has been made. */
export function isKept(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/**
 * Returns `path`, where a tree is kept. If there is none, `make` makes it under another name first;
 * whoever wants it meanwhile waits.
 */
export async function madeOnce(path: string, make: (tree: string) => Promise<void>): Promise<string> {
  if (isKept(path)) return path;
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  using turn = await Deno.open(`${path}.lock`, { create: true, write: true });
  await turn.lock(true);
  if (isKept(path)) return path;
  const partial = `${path}.part`;
  const discard = () => Deno.remove(partial, { recursive: true }).catch(() => {});
  // Of a run that was killed.
  await discard();
  try {
    await make(partial);
    await Deno.rename(partial, path);
  } finally {
    await discard();
  }
  return path;
}
