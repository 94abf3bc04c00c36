// The ledger: one JSON object per line for everything that was repaired or refused, in a sequence
// of rotated files. It is append-only, and repairs continue if it fails.

import type { FileHandle } from "node:fs/promises";
import { describeError } from "../support/errors.ts";
import { openForAppending, writeAll } from "../support/files.ts";
import { printableJson } from "../support/text.ts";
import type { Ledger, LedgerEntry } from "./entry.ts";
import { makeRoom, openSequence } from "./rotation.ts";

/** Thrown when the ledger cannot be read or written; the message names the file. */
export class LedgerError extends Error {
  override name = "LedgerError";
}

/** The size at which the file is rotated, and how many rotated files are kept. */
export interface LedgerLimits {
  readonly maxBytes: number;
  readonly keep: number;
}

/** A ledger that records nothing, for commands that only inspect. */
export const noLedger: Ledger = { append: () => Promise.resolve() };

/** The version of the lines; a line without a version has this one. */
export const LEDGER_VERSION = 1;

/**
 * The longest line. A longer one is not an entry, and reading it must not take unlimited memory.
 */
const LONGEST_LINE = 1 << 20;

const USUAL_LIMITS: LedgerLimits = { maxBytes: 10 * 1024 * 1024, keep: 5 };

/** Appends to `file`, which is created (0640) with the first line; its folder must exist. */
export class LedgerFile implements Ledger {
  readonly file: string;
  readonly #limits: LedgerLimits;
  #tail: Promise<void> = Promise.resolve();

  constructor(file: string, limits: LedgerLimits = USUAL_LIMITS) {
    this.file = file;
    this.#limits = limits;
  }

  append(entry: LedgerEntry): Promise<void> {
    const line = `${printableJson({ version: LEDGER_VERSION, ...entry })}\n`;
    // Writes run one after another: concurrent writes could garble each other's lines.
    const written = this.#tail.then(() => this.#write(new TextEncoder().encode(line)));
    this.#tail = written.catch(() => {});
    return written;
  }

  async #write(line: Uint8Array): Promise<void> {
    const failure = await makeRoom(this.file, line.byteLength, this.#limits).catch((error) =>
      new LedgerError(`cannot rotate the ledger ${this.file}: ${describeError(error)}`, { cause: error })
    );
    try {
      await appendLine(this.file, line);
    } catch (error) {
      throw new LedgerError(`cannot write the ledger ${this.file}: ${describeError(error)}`, { cause: error });
    }
    if (failure) throw failure;
  }
}

/**
 * The content of a line: `entry` is undefined if it cannot be read; `newer` is set if a later
 * version wrote it.
 */
export interface LedgerLine {
  readonly entry: LedgerEntry | undefined;
  readonly newer: boolean;
}

/**
 * Yields every line of the complete sequence, oldest first, in batches of which only one is held at
 * a time. Throws LedgerError; a missing ledger is empty.
 */
export async function* ledgerLines(file: string): AsyncGenerator<readonly LedgerLine[], void, undefined> {
  let files: Deno.FsFile[] = [];
  try {
    files = await openSequence(file);
    for (const open of files) yield* linesOf(open);
  } catch (error) {
    throw new LedgerError(`cannot read the ledger ${file}: ${describeError(error)}`, { cause: error });
  } finally {
    for (const open of files) open.close();
  }
}

/**
 * Returns every entry of the complete sequence, oldest first, and counts truncated and foreign
 * lines.
 */
export async function readLedger(
  file: string,
): Promise<{ entries: LedgerEntry[]; unreadable: number; newer: number }> {
  const found = { entries: [] as LedgerEntry[], unreadable: 0, newer: 0 };
  for await (const lines of ledgerLines(file)) {
    for (const { entry, newer } of lines) {
      if (newer) found.newer++;
      if (entry !== undefined) found.entries.push(entry);
      else if (!newer) found.unreadable++;
    }
  }
  return found;
}

async function* linesOf(file: Deno.FsFile): AsyncGenerator<readonly LedgerLine[], void, undefined> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1 << 16);
  let rest = "";
  for (let size = await file.read(buffer); size !== null; size = await file.read(buffer)) {
    const texts = (rest + decoder.decode(buffer.subarray(0, size), { stream: true })).split("\n");
    rest = texts.pop()!;
    // A line that was cut stays incomplete, so it counts as unreadable.
    if (rest.length > LONGEST_LINE) rest = rest.slice(0, LONGEST_LINE);
    yield texts.filter((text) => text.trim() !== "").map(readLine);
  }
  if (rest.trim() !== "") yield [readLine(rest)];
}

const TEXTS = [
  ...["reference", "askedBy", "reason", "advice", "message", "mirror", "candidate", "tagged", "id", "digest"] as const,
];
const NUMBERS = ["bytes", "seconds"] as const;

// People edit ledgers and later versions write them, so each field is taken only if it is valid.
function readLine(line: string): LedgerLine {
  try {
    const found = JSON.parse(line);
    const newer = Number(found.version) > LEDGER_VERSION;
    const { time, result, image, pods } = found;
    if (![time, result, image].every((it) => typeof it === "string")) return { entry: undefined, newer };
    const texts = TEXTS.filter((name) => typeof found[name] === "string");
    const numbers = NUMBERS.filter((name) => Number.isFinite(found[name]));
    const named = Array.isArray(pods) ? pods.filter((pod) => typeof pod === "string") : [];
    const rest = Object.fromEntries([...texts, ...numbers].map((name) => [name, found[name]]));
    return { entry: { time, result, image, pods: named, ...rest }, newer };
  } catch {
    return { entry: undefined, newer: false };
  }
}

async function appendLine(path: string, line: Uint8Array): Promise<void> {
  await using file = await openForAppending(path, 0o640);
  const { size } = await file.stat();
  if (size === 0) await giveToOwnerOfFolder(file, path);
  // A crash or a full disk may have left a truncated line; this one must not be joined to it.
  if (size > 0 && await endsTorn(file, size)) await writeAll(file, new Uint8Array([0x0a, ...line]));
  else await writeAll(file, line);
}

// `gilly once` run by root may create the file, and the daemon must be able to append to it.
// The open file is changed, not its name: the owner of the folder could have replaced the file.
async function giveToOwnerOfFolder(file: FileHandle, path: string): Promise<void> {
  try {
    const folder = await Deno.stat(path.includes("/") ? path.replace(/[^/]+$/, "") : ".");
    // A file with a second hard link may be one of root's that a user linked into their own folder.
    const { uid, nlink } = await file.stat();
    if (uid === 0 && nlink === 1 && folder.uid !== null && folder.gid !== null && folder.uid !== uid) {
      await file.chown(folder.uid, folder.gid);
    }
  } catch {
    // The owner stays the same, and the daemon reports what it cannot write.
  }
}

async function endsTorn(file: FileHandle, size: number): Promise<boolean> {
  const last = new Uint8Array(1);
  await file.read(last, 0, 1, size - 1);
  return last[0] !== 0x0a;
}
