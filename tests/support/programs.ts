// Which programs this machine has, so that a test can say what it lacks.

/** Returns those of the programs that are neither on PATH nor in the other folders. */
export function notOnPath(programs: readonly string[], otherFolders: readonly string[] = []): string[] {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), ...otherFolders];
  return programs.filter((program) => !folders.some((folder) => isFile(`${folder}/${program}`)));
}

/** Reports whether a path leads to a file. */
export function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
