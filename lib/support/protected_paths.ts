// The system's own folders, in which Gilly never writes. The permissions of the binary deny the same names, but Deno
// compares names and follows links afterwards: lib/support/files.ts resolves a path before it opens one.
// A thinker: paths in, sentences out.

/**
 * The folders themselves, and the names beside `/usr` that are links into it on a merged system (file-hierarchy(7)) and
 * folders of their own on others. `deno compile` is given the same list as `--deny-write`.
 */
export const PROTECTED_FOLDERS: readonly string[] = [
  "/bin",
  "/boot",
  "/dev",
  "/etc",
  "/lib",
  "/lib32",
  "/lib64",
  "/libx32",
  "/proc",
  "/sbin",
  "/sys",
  "/usr",
];

/** Which of those an absolute path is, or lies in, as far as its text tells; undefined for any other path. */
export function protectedFolderOf(path: string): string | undefined {
  const plain = withoutDots(path);
  return PROTECTED_FOLDERS.find((folder) => plain === folder || plain.startsWith(`${folder}/`));
}

/** What is wrong with the path of a file that is to be written, as one sentence; undefined when it is fine. */
export function mistakeInWrittenPath(path: string): string | undefined {
  const folder = protectedFolderOf(path);
  return folder === undefined ? undefined : `${path} lies in ${folder}, where Gilly never writes; ${EXPECTED}`;
}

/** What may be written instead. */
export const EXPECTED = "expected a path outside the system's folders, such as one in /var/lib/gilly";

function withoutDots(path: string): string {
  if (!path.startsWith("/")) return path;
  const steps: string[] = [];
  for (const step of path.split("/")) {
    if (step === "..") steps.pop();
    else if (step !== "" && step !== ".") steps.push(step);
  }
  return `/${steps.join("/")}`;
}
