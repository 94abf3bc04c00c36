// Writes exported files. Existing files are overwritten only with `force`, and nothing is deleted.
// An adapter for the file system.

import { makeFolders, ProtectedPathError, writeAtomically } from "../support/files.ts";
import type { ExportedFile } from "./model.ts";

/** A file that is in place. */
export interface WrittenFile {
  /** Its path, including the folder. */
  readonly path: string;
  readonly state: "written" | "overwritten" | "unchanged";
}

/**
 * Thrown when files could not be written. The message says what was attempted. If existing files
 * were the reason, nothing was written.
 */
export class ExportWriteError extends Error {
  override name = "ExportWriteError";
}

/**
 * Writes files under a folder in place of the root: `/etc/a` becomes `FOLDER/etc/a`. Without
 * `force`, writes nothing if an existing file has other contents. Throws ExportWriteError.
 */
export async function writeFiles(
  files: readonly ExportedFile[],
  folder: string,
  options: { readonly force: boolean },
): Promise<WrittenFile[]> {
  const root = folder.replace(/\/+$/, "");
  const placed: (WrittenFile & { readonly content: string })[] = [];
  for (const { path, content } of files) {
    const target = `${root}${path}`;
    const present = await read(target);
    const state = present === undefined ? "written" : present === content ? "unchanged" : "overwritten";
    placed.push({ path: target, state, content });
  }
  const changed = placed.filter(({ state }) => state === "overwritten").map(({ path }) => path);
  if (changed.length > 0 && !options.force) {
    throw new ExportWriteError(
      `refused to overwrite ${changed.join(", ")}: the contents differ; --force overwrites them`,
    );
  }
  for (const { path, state, content } of placed) if (state !== "unchanged") await write(path, content);
  return placed.map(({ path, state }) => ({ path, state }));
}

/**
 * Returns the CA files of registries in folders such as `/etc/docker/certs.d/HOST` (Docker's
 * pattern: `*.crt`), sorted by name. If several folders have some, the first one is used. A folder
 * that cannot be read counts as empty.
 */
export async function findAuthorities(
  hosts: Iterable<string>,
  folders: readonly string[],
): Promise<Record<string, readonly string[]>> {
  const found: Record<string, readonly string[]> = {};
  for (const host of hosts) {
    for (const folder of folders) {
      const files = await certificatesIn(`${folder}/${host}`);
      if (files.length > 0) found[host] ??= files;
    }
  }
  return found;
}

async function certificatesIn(folder: string): Promise<string[]> {
  const files: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) if (name.endsWith(".crt")) files.push(`${folder}/${name}`);
  } catch {
    return [];
  }
  return files.sort();
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new ExportWriteError(`reading ${path}, which would be overwritten`, { cause: error });
  }
}

// A runtime may read the file at any time, so it must be either complete or absent.
async function write(path: string, content: string): Promise<void> {
  try {
    await makeFolders(path.slice(0, path.lastIndexOf("/")));
    await writeAtomically(path, content);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable || error instanceof ProtectedPathError) {
      throw new ExportWriteError(
        `Gilly itself does not write to ${path}: give --output another folder and copy from there, as root: cp -r FOLDER/. /`,
        { cause: error },
      );
    }
    throw new ExportWriteError(`writing ${path}`, { cause: error });
  }
}
