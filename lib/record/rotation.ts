// Rotates a file: FILE, then FILE.1 up to the oldest, FILE.N. Handles only the names;
// lib/record/ledger.ts handles the contents.

import { realPathForWriting } from "../support/files.ts";
import { endsWithin } from "../support/timeouts.ts";

/**
 * How long a rotation waits for another process that rotates; the file may exceed its size a little
 * in the meantime.
 */
const LOCK_MS = 1000;

/** The highest number of a rotated file; files with higher numbers are not touched. */
const HIGHEST_NUMBER = 999;

/**
 * Moves `file` to `file.1`, and every older one up by one, if `bytes` more would exceed `maxBytes`;
 * keeps at most `keep` older ones. May be killed at any instant. A lock on the file allows another
 * process to do the same concurrently. Throws file system errors.
 */
export async function makeRoom(
  file: string,
  bytes: number,
  { maxBytes, keep }: { readonly maxBytes: number; readonly keep: number },
): Promise<void> {
  const open = await openIfThere(file);
  if (open === undefined) return;
  const { isFile, size, ino } = await open.stat();
  // An empty file always has room, even for an entry larger than `maxBytes`.
  const hasRoom = !isFile || size === 0 || size + bytes <= maxBytes;
  if (hasRoom) return open.close();
  if (!await lockWithin(open, LOCK_MS)) return;
  try {
    // Another process may have rotated first; the name then belongs to a new file.
    // A symbolic link is not moved, because it is not written to either.
    const real = await realPathForWriting(file);
    if ((await Deno.lstat(real)).ino === ino) await shift(real, keep);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  } finally {
    open.close();
  }
}

/**
 * Opens the complete sequence, oldest first; the caller closes the files. A concurrent rotation
 * neither hides a file nor returns one twice. Missing files are left out. Throws other file system
 * errors.
 */
export async function openSequence(file: string): Promise<Deno.FsFile[]> {
  // From the newest to the oldest: a file that is seen again was moved behind what was seen since.
  const found = new Map<string, Deno.FsFile>();
  try {
    // A rotation only moves files to higher numbers, so walking up finds every file. It ends at a name
    // that is not there if, after that, no file has a higher number.
    for (let number = 0, highest = 0;; number++) {
      const open = await openIfThere(nameOf(file, number));
      if (open === undefined) {
        if (number >= highest) highest = Math.max(0, ...await numbersOf(file));
        if (number >= highest) return [...found.values()].reverse();
        continue;
      }
      const { dev, ino, isFile } = await open.stat();
      if (number > 0 && !isFile) {
        open.close();
        continue;
      }
      const key = `${dev}:${ino}`;
      const known = found.get(key);
      if (known !== undefined) open.close();
      found.delete(key);
      found.set(key, known ?? open);
    }
  } catch (error) {
    for (const open of found.values()) open.close();
    throw error;
  }
}

/**
 * Moves the files up. Every step leaves each file under some name of the sequence; a gap left by a
 * killed rotation is filled.
 */
async function shift(file: string, keep: number): Promise<void> {
  const numbers = await numbersOf(file);
  for (const number of numbers) if (number > keep) await Deno.remove(nameOf(file, number));
  let free = 1;
  while (free < keep && numbers.includes(free)) free++;
  for (let number = free; number > 0; number--) await Deno.rename(nameOf(file, number - 1), nameOf(file, number));
}

async function numbersOf(file: string): Promise<number[]> {
  const slash = file.lastIndexOf("/");
  const [folder, name] = slash < 0 ? [".", file] : [file.slice(0, slash) || "/", file.slice(slash + 1)];
  const numbers: number[] = [];
  try {
    for await (const { name: found } of Deno.readDir(folder)) {
      const number = found.startsWith(`${name}.`) ? found.slice(name.length + 1) : "";
      if (/^[1-9][0-9]*$/.test(number) && Number(number) <= HIGHEST_NUMBER) numbers.push(Number(number));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) throw error;
  }
  return numbers;
}

function nameOf(file: string, number: number): string {
  return number === 0 ? file : `${file}.${number}`;
}

async function openIfThere(file: string): Promise<Deno.FsFile | undefined> {
  try {
    return await Deno.open(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}

/**
 * Returns whether the lock was acquired in time. If not, the file is closed as soon as the lock is
 * acquired, because a pending lock cannot be canceled.
 */
async function lockWithin(file: Deno.FsFile, ms: number): Promise<boolean> {
  const locked = file.lock(true);
  try {
    const inTime = await endsWithin(ms, locked);
    if (!inTime) void locked.catch(() => {}).finally(() => file.close());
    return inTime;
  } catch (error) {
    file.close();
    throw error;
  }
}
