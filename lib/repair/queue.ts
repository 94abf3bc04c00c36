// The repairs under way. They run beside the passes, so that a long pull delays nothing; each ends in an outcome that is
// noted, recorded and said.

import { isExpectant } from "../kubelet/failures.ts";
import type { Outcome } from "../plan/outcome.ts";
import type { Repair } from "../plan/plan.ts";
import type { Attempts } from "../plan/retries.ts";
import type { Ledger, LedgerEntry } from "../record/entry.ts";
import { Follower } from "../support/linked_signal.ts";
import { repair as repairImage, type RepairListener, type RepairTools } from "./repair.ts";

/** Hears a repair's steps and its end. */
export interface ImageRepairListener extends RepairListener {
  finished(repair: Repair, outcome: Outcome, seconds: number, nextTrySeconds: number): void;
  ledgerFailed(error: unknown): void;
  unexpected(error: unknown): void;
}

/** What a repair needs from the configuration in force when it starts. */
export interface Bench {
  readonly tools: Omit<RepairTools, "signal">;
  readonly attempts: Attempts;
  readonly ledger: Ledger;
}

/** The repairs of this process, one at a time for each image. */
export class Repairs {
  readonly #underWay = new Map<string, Promise<void>>();
  #recording: Promise<void> = Promise.resolve();
  readonly #listener: ImageRepairListener;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #signal: AbortSignal;
  #onEnd: () => void = () => {};
  #repaired = 0;
  #failed = 0;

  constructor(
    options: {
      readonly listener: ImageRepairListener;
      readonly now: () => number;
      readonly random: () => number;
      /** Ends every repair. */
      readonly signal: AbortSignal;
    },
  ) {
    this.#listener = options.listener;
    this.#now = options.now;
    this.#random = options.random;
    this.#signal = options.signal;
  }

  /** Images repaired since the start. */
  get repaired(): number {
    return this.#repaired;
  }

  /** Tries that failed since the start. */
  get failed(): number {
    return this.#failed;
  }

  get count(): number {
    return this.#underWay.size;
  }

  underWay(name: string): boolean {
    return this.#underWay.has(name);
  }

  /** Calls back when a repair has ended, its outcome noted: whoever decides on the next pass has to decide anew. */
  onEnd(callback: () => void): void {
    this.#onEnd = callback;
  }

  /** Starts a repair, unless one of the same name is under way. */
  start(repair: Repair, bench: Bench): void {
    if (this.#underWay.has(repair.name)) return;
    const run = this.#run(repair, bench)
      .catch((error) => {
        if (!this.#signal.aborted) this.#listener.unexpected(error);
      })
      .finally(() => {
        this.#underWay.delete(repair.name);
        this.#onEnd();
      });
    this.#underWay.set(repair.name, run);
  }

  /** Writes down what was not even begun, beside the passes. */
  record(entries: readonly LedgerEntry[], ledger: Ledger): void {
    const written = entries.map((entry) => this.#append(entry, ledger));
    this.#recording = Promise.all([this.#recording, ...written]).then(() => {});
  }

  /** Resolves when every repair that is under way now has ended, and what was recorded is written. */
  async drained(): Promise<void> {
    await Promise.all([this.#recording, ...this.#underWay.values()]);
  }

  async #run(repair: Repair, { tools, attempts, ledger }: Bench): Promise<void> {
    const start = this.#now();
    using repairing = new Follower(this.#signal);
    const outcome = await repairImage(repair, { ...tools, signal: repairing.signal });
    const end = this.#now();
    if (outcome.result === "repaired") this.#repaired++;
    if (outcome.result === "failed") this.#failed++;
    const known = attempts.get(repair.name);
    const record = attempts.note(repair.name, outcome, end, this.#random());
    const seconds = (end - start) / 1000;
    this.#listener.finished(repair, outcome, seconds, (record.nextTryAt - end) / 1000);
    // An eager repair that found the image there is no news at all: most containers start so.
    if (outcome.result === "already-present" && repair.failures.every(isExpectant)) return;
    // A name that stays present, or an image that stays missing, is one line and not one a try.
    if (known?.last.result === outcome.result && reasonOf(known.last) === reasonOf(outcome)) return;
    await this.#append(entryFor(repair, outcome, seconds, end), ledger);
  }

  async #append(entry: LedgerEntry, ledger: Ledger): Promise<void> {
    await ledger.append(entry).catch((error) => this.#listener.ledgerFailed(error));
  }
}

/** The ledger's line about the end of a repair at `now` (milliseconds); `askedBy` says who wanted it where no pod did. */
export function entryFor(
  repair: Repair,
  outcome: Outcome,
  seconds: number,
  now: number,
  askedBy = "the keep list",
): LedgerEntry {
  const common = {
    time: new Date(now).toISOString(),
    result: outcome.result,
    image: repair.image,
    reference: repair.name,
    pods: [...new Set(repair.failures.map(({ pod }) => `${pod.namespace}/${pod.name}`))],
    ...(repair.failures.length === 0 && { askedBy }),
    seconds,
  };
  switch (outcome.result) {
    case "repaired": {
      const { candidate, tagged, id, digest, bytes } = outcome;
      const from = { mirror: candidate.mirror, candidate: candidate.reference };
      return { ...common, ...from, tagged, id, ...(digest === undefined ? {} : { digest }), bytes };
    }
    case "already-present":
      return { ...common, id: outcome.id };
    case "failed":
      return { ...common, ...(outcome.reason && { reason: outcome.reason }), message: outcome.message };
  }
}

function reasonOf(outcome: Outcome): string | undefined {
  return outcome.result === "failed" ? outcome.reason : undefined;
}
