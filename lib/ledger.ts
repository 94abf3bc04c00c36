// The ledger: one JSON object a line for everything that was done or refused. Only ever appended to; whatever happens to
// it, repairs go on.

import { describeError } from "./errors.ts";

/** What happened to one image. Times are ISO 8601, durations seconds, sizes bytes. No secret ever stands here. */
export interface LedgerEntry {
  readonly time: string;
  readonly result: "repaired" | "already-present" | "failed" | "unrepairable";
  readonly image: string;
  /** The normalised name that the kubelet looks up. */
  readonly reference?: string;
  readonly pods: readonly string[];
  readonly reason?: string;
  readonly message?: string;
  readonly mirror?: string;
  /** The reference that was pulled from the mirror. */
  readonly candidate?: string;
  readonly tagged?: string;
  readonly id?: string;
  readonly digest?: string;
  readonly bytes?: number;
  readonly seconds?: number;
}

/** The ledger cannot be read or written; the message names the file. */
export class LedgerError extends Error {
  override name = "LedgerError";
}

/** Where outcomes are written down. */
export interface Ledger {
  /** Adds one line. Throws LedgerError. */
  append(entry: LedgerEntry): Promise<void>;
}

/** A ledger that keeps nothing, for passes that only look. */
export const noLedger: Ledger = { append: () => Promise.resolve() };

/** Appends to `file`, which is made (0640) on the first line; its folder must exist. */
export class LedgerFile implements Ledger {
  readonly file: string;
  #tail: Promise<void> = Promise.resolve();

  constructor(file: string) {
    this.file = file;
  }

  append(entry: LedgerEntry): Promise<void> {
    const line = `${JSON.stringify(entry)}\n`;
    // One after the other: two writes at once could tear each other's line.
    const written = this.#tail.then(() => this.#write(line));
    this.#tail = written.catch(() => {});
    return written;
  }

  async #write(line: string): Promise<void> {
    try {
      using file = await Deno.open(this.file, { read: true, append: true, create: true, mode: 0o640 });
      const torn = await endsTorn(file);
      // A crash or a full disk may have left half a line; it must not swallow this one.
      await writeAll(file, new TextEncoder().encode(torn ? `\n${line}` : line));
    } catch (error) {
      throw new LedgerError(`cannot write the ledger ${this.file}: ${describeError(error)}`, { cause: error });
    }
  }
}

/** Every whole entry of a ledger file, oldest first; lines that are torn or not ours are counted, not hidden. */
export async function readLedger(file: string): Promise<{ entries: LedgerEntry[]; unreadable: number }> {
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { entries: [], unreadable: 0 };
    throw new LedgerError(`cannot read the ledger ${file}: ${describeError(error)}`, { cause: error });
  }
  const entries: LedgerEntry[] = [];
  let unreadable = 0;
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const entry = parseEntry(line);
    if (entry === undefined) unreadable++;
    else entries.push(entry);
  }
  return { entries, unreadable };
}

function parseEntry(line: string): LedgerEntry | undefined {
  try {
    const entry = JSON.parse(line);
    const whole = typeof entry?.time === "string" && typeof entry.result === "string" &&
      typeof entry.image === "string";
    return whole ? { ...entry, pods: Array.isArray(entry.pods) ? entry.pods : [] } : undefined;
  } catch {
    return undefined;
  }
}

async function endsTorn(file: Deno.FsFile): Promise<boolean> {
  const end = await file.seek(0, Deno.SeekMode.End);
  if (end === 0) return false;
  await file.seek(-1, Deno.SeekMode.End);
  const last = new Uint8Array(1);
  await file.read(last);
  return last[0] !== 0x0a;
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.byteLength;) written += await file.write(bytes.subarray(written));
}
