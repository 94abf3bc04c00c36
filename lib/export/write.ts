// Exported files and the disk: what is there already is never overwritten unasked, and nothing is ever deleted.
// An adapter for the file system.

import { makeFolders, ProtectedPathError, writeAtomically } from "../support/files.ts";
import type { ExportedFile } from "./model.ts";

/** A file that lies where it was asked for. */
export interface WrittenFile {
  /** Its path under the folder. */
  readonly path: string;
  readonly state: "written" | "overwritten" | "unchanged";
}

/** Files could not be placed; what the message says was attempted. Nothing was written when they exist already. */
export class ExportWriteError extends Error {
  override name = "ExportWriteError";
}

/**
 * Writes files under a folder as under the root: `/etc/a` becomes `FOLDER/etc/a`. A file with other contents is refused
 * unless `force`, and then none is written. Throws ExportWriteError.
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
 * The certificate authorities that registries have in folders such as `/etc/docker/certs.d/HOST` (Docker's pattern:
 * `*.crt`), sorted by name; of several folders the first that has any counts. What cannot be read counts as none.
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

// A runtime may look at any moment, so a file is there whole or not at all.
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
