// A file and those it was before: FILE, then FILE.1 up to the oldest, FILE.N. The adapter for their names only; what stands
// in them is the ledger's matter.

import { realPathForWriting } from "../support/files.ts";
import { endsWithin } from "../support/timeouts.ts";

/** How long a rotation waits for another process that rotates; the file may grow a little beyond its size meanwhile. */
const LOCK_MS = 1000;

/** Higher numbers are somebody else's files. */
const HIGHEST_NUMBER = 999;

/**
 * Moves `file` to `file.1`, and every older one up by one, when it has no room for `bytes` more below `maxBytes`; at most
 * `keep` older ones stay. Safe to be killed at any instant, and beside another process that does the same: it holds a
 * lock on the file meanwhile. Throws what the file system says.
 */
export async function makeRoom(
  file: string,
  bytes: number,
  { maxBytes, keep }: { readonly maxBytes: number; readonly keep: number },
): Promise<void> {
  const open = await openIfThere(file);
  if (open === undefined) return;
  const { isFile, size, ino } = await open.stat();
  // A single entry larger than the whole file has room in an empty one.
  const hasRoom = !isFile || size === 0 || size + bytes <= maxBytes;
  if (hasRoom) return open.close();
  if (!await lockWithin(open, LOCK_MS)) return;
  try {
    // Another process may have been quicker: then the name is a new file's by now.
    // Nor is a link moved aside, which is not written to either.
    const real = await realPathForWriting(file);
    if ((await Deno.lstat(real)).ino === ino) await shift(real, keep);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  } finally {
    open.close();
  }
}

/**
 * Opens the whole sequence, oldest first; the caller closes the files. A rotation meanwhile neither hides a file nor shows
 * one twice. Throws what the file system says; what is not there is left out.
 */
export async function openSequence(file: string): Promise<Deno.FsFile[]> {
  const files: Deno.FsFile[] = [];
  const seen = new Set<string>();
  try {
    // A rotation only ever moves a file up, so who walks up meets each, and some of them perhaps twice.
    for (let number = 0, highest = 0; number <= highest; number++) {
      if (number === highest) highest = Math.max(0, ...await numbersOf(file)) + 1;
      const open = await openIfThere(nameOf(file, number));
      if (open === undefined) continue;
      const { dev, ino, isFile } = await open.stat();
      if (seen.has(`${dev}:${ino}`) || (number > 0 && !isFile)) open.close();
      else files.unshift(open);
      seen.add(`${dev}:${ino}`);
    }
    return files;
  } catch (error) {
    for (const open of files) open.close();
    throw error;
  }
}

/** Every step leaves each file under some name of the sequence; a gap that a killed rotation left is filled. */
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

/** Whether the lock was had in time. If not, the file is closed as soon as the lock comes, since nothing takes it back. */
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
