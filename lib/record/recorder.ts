// The observer that writes the ledger: each refusal of a pass and each end of a repair becomes a
// line, unless it is not news. Written entries are also learned, so that later repairs know them.

import { type Failure, isCreating } from "../kubelet/failures.ts";
import type { PodList } from "../kubelet/pods.ts";
import type { Outcome } from "../plan/outcome.ts";
import type { Plan } from "../plan/plan.ts";
import type { Observer, RepairEnd } from "../repair/observer.ts";
import type { Clock } from "../support/clock.ts";
import { type Ledger, type LedgerEntry, repairEntry } from "./entry.ts";
import { learn, type Memory } from "./memory.ts";

/** The dependencies of a recorder. */
export interface RecorderOptions {
  /** Notified of lines that could not be written. */
  readonly observer: Observer;
  readonly clock: Clock;
  /** Learns the written entries. */
  readonly memory: Pick<Memory, "provenance" | "refusals">;
  /** What requests an image that no pod waits for, such as `the keep list`. */
  readonly askedBy: string;
}

/**
 * Writes lines one after another, concurrently with other work; writes none until it follows a
 * ledger.
 */
export class Recorder implements Observer {
  readonly #options: RecorderOptions;
  #ledger: Ledger | undefined;
  #written: Promise<void> = Promise.resolve();

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Writes to this ledger from now on. */
  follow(ledger: Ledger): void {
    this.#ledger = ledger;
  }

  looked(_list: PodList, _failures: readonly Failure[], plan: Plan): void {
    if (this.#ledger === undefined) return;
    const { memory, clock } = this.#options;
    for (const entry of memory.refusals.fresh(plan.skips, clock.wallTime())) this.#write(entry);
  }

  finished(end: RepairEnd): void {
    if (isNews(end)) this.#write(repairEntry(end, this.#options.clock.wallTime(), this.#options.askedBy));
  }

  /** Resolves when every line so far is written or has failed. */
  async settled(): Promise<void> {
    await this.#written;
  }

  #write(entry: LedgerEntry): void {
    if (this.#ledger === undefined) return;
    learn(this.#options.memory, entry);
    const written = this.#ledger.append(entry).catch((error) => this.#options.observer.ledgerFailed?.(error));
    this.#written = Promise.all([this.#written, written]).then(() => {});
  }
}

function isNews({ repair, outcome, before }: RepairEnd): boolean {
  // An eager repair that found the image present is never news: most containers start that way.
  if (outcome.result === "already-present" && repair.failures.every(isCreating)) return false;
  // A name that stays present, or an image that stays missing, gets one line, not one for each try.
  return before?.result !== outcome.result || reasonOf(before) !== reasonOf(outcome);
}

function reasonOf(outcome: Outcome): string | undefined {
  return outcome.result === "failed" ? outcome.reason : undefined;
}
