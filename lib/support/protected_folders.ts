// The folders in which Gilly writes nothing, whatever its config says, judged by a path's text alone.
// Pure.

/**
 * The system's folders. Those next to `/usr` are links into it on a merged system
 * (file-hierarchy(7)) and real folders elsewhere. `deno compile` gets the same list as
 * `--deny-write`.
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

/**
 * Returns the protected folder that an absolute path is or is in, judging by its text alone, or
 * undefined.
 */
export function protectedFolderOf(path: string): string | undefined {
  const plain = withoutDots(path);
  return PROTECTED_FOLDERS.find((folder) => plain === folder || plain.startsWith(`${folder}/`));
}

/**
 * Returns what is wrong with the path of a file to write, as one sentence, or undefined if it is
 * valid.
 */
export function mistakeInWrittenPath(path: string): string | undefined {
  const folder = protectedFolderOf(path);
  return folder === undefined ? undefined : `${path} is in ${folder}, where Gilly never writes; ${EXPECTED_OUTSIDE}`;
}

/** What to write instead, to end a sentence. */
export const EXPECTED_OUTSIDE = "expected a path outside the system's folders, such as one in /var/lib/gilly";

function withoutDots(path: string): string {
  if (!path.startsWith("/")) return path;
  const steps: string[] = [];
  for (const step of path.split("/")) {
    if (step === "..") steps.pop();
    else if (step !== "" && step !== ".") steps.push(step);
  }
  return `/${steps.join("/")}`;
}
