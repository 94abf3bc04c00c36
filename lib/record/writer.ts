// Writes the entries of an observer to the ledger that it follows, one after another and
// concurrently with other work.

import type { Ledger, LedgerEntry } from "./entry.ts";
import { learn, type Memory } from "./memory.ts";

/** The dependencies of a writer. */
export interface LedgerWriterOptions {
  /** Notified of lines that could not be written. */
  readonly observer: { ledgerFailed?(error: unknown): void };
  /** Learns the written entries. */
  readonly memory: Pick<Memory, "provenance" | "refusals">;
}

/** Writes none until it follows a ledger. */
export class LedgerWriter {
  readonly #options: LedgerWriterOptions;
  #ledger: Ledger | undefined;
  #written: Promise<void> = Promise.resolve();

  constructor(options: LedgerWriterOptions) {
    this.#options = options;
  }

  /** Whether entries are written. */
  get follows(): boolean {
    return this.#ledger !== undefined;
  }

  /** Writes to this ledger from now on. */
  follow(ledger: Ledger): void {
    this.#ledger = ledger;
  }

  write(entry: LedgerEntry): void {
    if (this.#ledger === undefined) return;
    learn(this.#options.memory, entry);
    const written = this.#ledger.append(entry).catch((error) => this.#options.observer.ledgerFailed?.(error));
    this.#written = Promise.all([this.#written, written]).then(() => {});
  }

  /** Resolves when every line so far is written or has failed. */
  async settled(): Promise<void> {
    await this.#written;
  }
}
