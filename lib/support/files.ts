// The one adapter by which files are written, moved and removed. A path is resolved before anything is opened: what leads
// into the system's folders is refused, and a link that stands in the place of the file itself is never followed. The
// permissions of the binary deny the same names, but Deno compares names and follows links afterwards.

import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, O_WRONLY } = constants;

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
  return folder === undefined ? undefined : `${path} is in ${folder}, where Gilly never writes; ${EXPECTED}`;
}

/** What may be written instead. */
const EXPECTED = "expected a path outside the system's folders, such as one in /var/lib/gilly";

/** The path leads into a folder of the system, or to a link; nothing was written. */
export class ProtectedPathError extends Error {
  override name = "ProtectedPathError";
}

/**
 * The file's path with every link in its folder resolved; whether the file itself is one is left to whoever opens it.
 * Throws ProtectedPathError, or what the file system says of the folder.
 */
export async function realPathForWriting(path: string): Promise<string> {
  const [folder, name] = split(path);
  return refuseProtected(path, joined(await Deno.realPath(folder), name));
}

/** The same at once, for what cannot wait. */
export function realPathForWritingSync(path: string): string {
  const [folder, name] = split(path);
  return refuseProtected(path, joined(Deno.realPathSync(folder), name));
}

/**
 * Opens a file to read it and to append to it; it is made with `mode` less the umask. The caller closes it. Throws
 * ProtectedPathError, also when the file is a link, or what the file system says.
 */
export async function openForAppending(path: string, mode: number): Promise<FileHandle> {
  return await openReal(await realPathForWriting(path), O_RDWR | O_APPEND | O_CREAT, mode);
}

/** Writes all of it at the end of an open file, or throws what the file system says. */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) at += (await file.write(bytes, at)).bytesWritten;
}

/**
 * Puts a text into the place of a file, whole or not at all: it is written beside it under a name of this process, which
 * must be new, and then renamed, so that a link in the file's place is replaced and what it leads to stays as it is.
 * `mode` holds whatever the umask. The folder must exist. Throws ProtectedPathError, or what the file system says.
 */
export async function writeAtomically(path: string, text: string, mode?: number): Promise<void> {
  const real = await realPathForWriting(path);
  const draft = `${real}.${Deno.pid}`;
  // A process of the same number may have been killed; a link there goes, and not what it leads to.
  await Deno.remove(draft).catch(() => {});
  const file = await openReal(draft, O_WRONLY | O_CREAT | O_EXCL, mode ?? 0o666);
  try {
    await writeAll(file, new TextEncoder().encode(text));
    if (mode !== undefined) await file.chmod(mode);
    await Deno.rename(draft, real);
  } catch (error) {
    await Deno.remove(draft).catch(() => {});
    throw error;
  } finally {
    await file.close();
  }
}

/** Removes a file, or the link in its place. Throws ProtectedPathError, or what the file system says. */
export async function removeFile(path: string): Promise<void> {
  await Deno.remove(await realPathForWriting(path));
}

/** Makes a folder and those above it that are missing. Throws ProtectedPathError, or what the file system says. */
export async function makeFolders(folder: string): Promise<void> {
  await realFolder(folder || "/");
}

async function realFolder(folder: string): Promise<string> {
  try {
    return refuseProtected(folder, await Deno.realPath(folder));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const [above, name] = split(folder.replace(/\/+$/, ""));
  const real = refuseProtected(folder, joined(await realFolder(above), name));
  await Deno.mkdir(real).catch((error) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
  // Somebody else may have been quicker, with a link to elsewhere.
  return refuseProtected(folder, await Deno.realPath(real));
}

/** A file that is renamed while it is opened, as by another process's rotation, is opened so many times. */
const MOST_TRIES = 5;

async function openReal(real: string, flags: number, mode: number): Promise<FileHandle> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const file = await open(real, flags | O_NOFOLLOW, mode).catch((error) => {
      throw error?.code === "ELOOP" ? notFollowed(real) : inWords(error);
    });
    try {
      if (await isStillAt(real, file)) return file;
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
  }
  throw new Error(`${real} was replaced each time it was opened`);
}

// Where a part of the permissions is denied, Deno resolves links before it opens, O_NOFOLLOW or not; and whoever owns a
// folder above may have put a link into its place meanwhile. Nothing is written before this has been looked at.
async function isStillAt(real: string, file: FileHandle): Promise<boolean> {
  await realPathForWriting(real);
  const [{ dev, ino }, found] = await Promise.all([
    file.stat(),
    Deno.lstat(real).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }),
  ]);
  if (found?.isSymlink) throw notFollowed(real);
  return found?.dev === dev && found.ino === ino;
}

function notFollowed(path: string): ProtectedPathError {
  return new ProtectedPathError(`${path} is a symbolic link, which is not followed; expected a file (link its folder)`);
}

function refuseProtected(path: string, real: string): string {
  const folder = protectedFolderOf(path) ?? protectedFolderOf(real);
  if (folder === undefined) return real;
  const leads = real === path ? `is in ${folder}` : `leads to ${real}, in ${protectedFolderOf(real) ?? folder}`;
  throw new ProtectedPathError(`${path} ${leads}, where Gilly never writes; ${EXPECTED}`);
}

function split(path: string): [folder: string, name: string] {
  const slash = path.lastIndexOf("/");
  const [folder, name] = slash < 0 ? [".", path] : [path.slice(0, slash) || "/", path.slice(slash + 1)];
  if (["", ".", ".."].includes(name)) throw new Error(`${path} is not the path of a file`);
  return [folder, name];
}

function joined(folder: string, name: string): string {
  return folder === "/" ? `/${name}` : `${folder}/${name}`;
}

/** Node's "EACCES: permission denied, open 'FILE'" as Deno would put it; other errors stay what they are. */
function inWords(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const [, text] = /^E[A-Z0-9]+: (.*?)(?:, [a-z]+(?: '.*)?)?$/s.exec(error.message) ?? [];
  return text === undefined ? error : new Error(text.charAt(0).toUpperCase() + text.slice(1));
}

/**
 * Differs once the file was replaced or written; it is not read, and two writes within one tick of the clock may look alike.
 * Throws what the file system says.
 */
export async function fingerprintOf(file: string): Promise<string> {
  const { mtime, size, ino } = await Deno.stat(file);
  return `${file}:${ino}:${size}:${mtime?.getTime()}`;
}

function withoutDots(path: string): string {
  if (!path.startsWith("/")) return path;
  const steps: string[] = [];
  for (const step of path.split("/")) {
    if (step === "..") steps.pop();
    else if (step !== "" && step !== ".") steps.push(step);
  }
  return `/${steps.join("/")}`;
}
