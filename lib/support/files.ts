// The only adapter that writes, moves and removes files. Paths are resolved before a file is
// opened: system folders are refused, and a symbolic link in place of the file is never followed.
// The binary's permissions deny the same folders, but Deno compares names and then follows links.

import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { EXPECTED_OUTSIDE, protectedFolderOf } from "./protected_folders.ts";

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, O_WRONLY } = constants;

/** Thrown when the path leads into a system folder or to a symbolic link; nothing was written. */
export class ProtectedPathError extends Error {
  override name = "ProtectedPathError";
}

/**
 * Returns the file's path with every symbolic link in its folder resolved. The file itself may be a
 * link; the code that opens it checks that. Throws ProtectedPathError, or the file system's error
 * for the folder.
 */
export async function realPathForWriting(path: string): Promise<string> {
  const [folder, name] = split(path);
  return refuseProtected(path, joined(await Deno.realPath(folder), name));
}

/** The synchronous form of realPathForWriting. */
export function realPathForWritingSync(path: string): string {
  const [folder, name] = split(path);
  return refuseProtected(path, joined(Deno.realPathSync(folder), name));
}

/**
 * Opens a file for reading and appending, and creates it with `mode` less the umask if it is
 * missing. The caller closes it. Throws ProtectedPathError, also if the file is a symbolic link, or
 * the file system's error.
 */
export async function openForAppending(path: string, mode: number): Promise<FileHandle> {
  return await openReal(await realPathForWriting(path), O_RDWR | O_APPEND | O_CREAT, mode);
}

/**
 * Writes all bytes to an open file, at the end if it was opened for appending. Throws the file
 * system's error.
 */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) at += (await file.write(bytes, at)).bytesWritten;
}

/**
 * Replaces a file with a text, completely or not at all. The text is written to a new file next to
 * it, named after this process, which is then renamed, so that a symbolic link at `path` is
 * replaced and its target stays unchanged. `mode` applies regardless of the umask. The folder must
 * exist. Throws ProtectedPathError, or the file system's error.
 */
export async function writeAtomically(path: string, text: string, mode?: number): Promise<void> {
  const real = await realPathForWriting(path);
  const draft = `${real}.${Deno.pid}`;
  // A process with the same ID may have been killed and left a draft. If it is a link, only the
  // link is removed.
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

/**
 * Removes a file, or a symbolic link but not its target. Throws ProtectedPathError, or the file
 * system's error.
 */
export async function removeFile(path: string): Promise<void> {
  await Deno.remove(await realPathForWriting(path));
}

/**
 * Creates a folder and its missing parents. Throws ProtectedPathError, or the file system's error.
 */
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
  // Another process may have created it first, as a link to somewhere else.
  return refuseProtected(folder, await Deno.realPath(real));
}

/**
 * How often to open a file that is renamed while it is being opened, as by another process's
 * rotation.
 */
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

// If part of a permission is denied, Deno resolves links before it opens a file, even with
// O_NOFOLLOW, and the owner of a parent folder may have replaced it with a link in the meantime.
// Nothing is written before this check.
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
  throw new ProtectedPathError(`${path} ${leads}, where Gilly never writes; ${EXPECTED_OUTSIDE}`);
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

/**
 * Rewrites Node's "EACCES: permission denied, open 'FILE'" in Deno's style; returns other errors
 * unchanged.
 */
function inWords(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const [, text] = /^E[A-Z0-9]+: (.*?)(?:, [a-z]+(?: '.*)?)?$/s.exec(error.message) ?? [];
  return text === undefined ? error : new Error(text.charAt(0).toUpperCase() + text.slice(1));
}

/**
 * Returns a value that changes when the file is replaced or written. The file is not read, and two
 * writes within one clock tick may look alike. Throws the file system's error.
 */
export async function fingerprintOf(file: string): Promise<string> {
  const { mtime, size, ino } = await Deno.stat(file);
  return `${file}:${ino}:${size}:${mtime?.getTime()}`;
}
