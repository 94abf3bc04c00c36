// The observer that writes the ledger: each refusal of a pass and each end of a repair becomes a
// line, unless it is not news. Written entries are also learned, so that later repairs know them.

import { type Failure, isCreating } from "../kubelet/failures.ts";
import type { PodList } from "../kubelet/pods.ts";
import type { Outcome } from "../plan/outcome.ts";
import type { Plan } from "../plan/plan.ts";
import type { Observer, RepairEnd } from "../repair/observer.ts";
import type { Clock } from "../support/clock.ts";
import { repairEntry } from "./entry.ts";
import { LedgerWriter, type LedgerWriterOptions } from "./writer.ts";

/** The dependencies of a recorder. */
export interface RecorderOptions extends LedgerWriterOptions {
  readonly clock: Clock;
  /** What requests an image that no pod waits for, such as `the keep list`. */
  readonly askedBy: string;
}

/** Writes to the ledger that it follows. */
export class Recorder extends LedgerWriter implements Observer {
  readonly #options: RecorderOptions;

  constructor(options: RecorderOptions) {
    super(options);
    this.#options = options;
  }

  looked(_list: PodList, _failures: readonly Failure[], plan: Plan): void {
    if (!this.follows) return;
    const { memory, clock } = this.#options;
    for (const entry of memory.refusals.fresh(plan.skips, clock.wallTime())) this.write(entry);
  }

  finished(end: RepairEnd): void {
    if (isNews(end)) this.write(repairEntry(end, this.#options.clock.wallTime(), this.#options.askedBy));
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
