// The ledger: one JSON object a line for everything that was done or refused, in files that follow each other. Only ever
// appended to; whatever happens to it, repairs go on.

import type { FileHandle } from "node:fs/promises";
import { describeError } from "../support/errors.ts";
import { openForAppending, writeAll } from "../support/files.ts";
import { printableJson } from "../support/text.ts";
import type { Ledger, LedgerEntry } from "./entry.ts";
import { makeRoom, openSequence } from "./rotation.ts";

/** The ledger cannot be read or written; the message names the file. */
export class LedgerError extends Error {
  override name = "LedgerError";
}

/** How large the file grows before it is moved aside, and how many that were moved aside stay. */
export interface LedgerLimits {
  readonly maxBytes: number;
  readonly keep: number;
}

/** A ledger that keeps nothing, for passes that only look. */
export const noLedger: Ledger = { append: () => Promise.resolve() };

/** The version of the lines; a line without one is of this version too. */
export const LEDGER_VERSION = 1;

/** A line longer than this is none of ours, and reading it must not cost memory without end. */
const LONGEST_LINE = 1 << 20;

const USUAL_LIMITS: LedgerLimits = { maxBytes: 10 * 1024 * 1024, keep: 5 };

/** Appends to `file`, which is made (0640) on the first line; its folder must exist. */
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
    // One after the other: two writes at once could tear each other's line.
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

/** What stands in a line: an entry, `newer` when a later version wrote it, or undefined when it cannot be read. */
export interface LedgerLine {
  readonly entry: LedgerEntry | undefined;
  readonly newer: boolean;
}

/**
 * Every line of the whole sequence, oldest first, in batches so that no more than one of them is held at once. Throws
 * LedgerError; a ledger that is not there is an empty one.
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

/** Every entry of the whole sequence, oldest first; lines that are torn or not ours are counted, not hidden. */
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
    // What was cut cannot be whole again, so that the line will count as unreadable.
    if (rest.length > LONGEST_LINE) rest = rest.slice(0, LONGEST_LINE);
    yield texts.filter((text) => text.trim() !== "").map(readLine);
  }
  if (rest.trim() !== "") yield [readLine(rest)];
}

const TEXTS = [
  ...["reference", "askedBy", "reason", "advice", "message", "mirror", "candidate", "tagged", "id", "digest"] as const,
];
const NUMBERS = ["bytes", "seconds"] as const;

// People edit ledgers, and later versions write them: each field is taken when it is what it should be.
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
  // A crash or a full disk may have left half a line; it must not swallow this one.
  if (size > 0 && await endsTorn(file, size)) await writeAll(file, new Uint8Array([0x0a, ...line]));
  else await writeAll(file, line);
}

// A `gilly once` by root may be who makes the file, and the daemon must be able to go on with it.
// The open file is given away, not its name: the owner of the folder could have put another file there meanwhile.
async function giveToOwnerOfFolder(file: FileHandle, path: string): Promise<void> {
  try {
    const folder = await Deno.stat(path.includes("/") ? path.replace(/[^/]+$/, "") : ".");
    // With a second name it may be a file of root's that somebody has linked into a folder of their own.
    const { uid, nlink } = await file.stat();
    if (uid === 0 && nlink === 1 && folder.uid !== null && folder.gid !== null && folder.uid !== uid) {
      await file.chown(folder.uid, folder.gid);
    }
  } catch {
    // Then it stays whose it is, and the daemon will say what it cannot write.
  }
}

async function endsTorn(file: FileHandle, size: number): Promise<boolean> {
  const last = new Uint8Array(1);
  await file.read(last, 0, 1, size - 1);
  return last[0] !== 0x0a;
}
