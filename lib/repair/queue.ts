// The repairs under way. They run concurrently with the passes, so that a long pull delays nothing.
// Each outcome is recorded and reported to the observer.

import type { Repair } from "../plan/plan.ts";
import type { RetrySchedule } from "../plan/retries.ts";
import type { Clock } from "../support/clock.ts";
import { LinkedSignal } from "../support/timeouts.ts";
import type { Observer } from "./observer.ts";
import { repair as repairImage, type RepairContext } from "./repair.ts";

/** The repairs of this process, at most one at a time for each image. */
export class Repairs {
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #observer: Observer;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #signal: AbortSignal;
  #repaired = 0;
  #failed = 0;

  constructor(
    options: {
      readonly observer: Observer;
      readonly clock: Clock;
      readonly random: () => number;
      /** Ends every repair. */
      readonly signal: AbortSignal;
    },
  ) {
    this.#observer = options.observer;
    this.#clock = options.clock;
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

  /**
   * Starts a repair with the current context, unless one of the same name is under way. Records the
   * outcome in `retries`.
   */
  start(repair: Repair, context: Omit<RepairContext, "observer" | "signal">, retries: RetrySchedule): void {
    if (this.#underWay.has(repair.name)) return;
    const run = this.#run(repair, context, retries)
      .catch((error) => {
        if (!this.#signal.aborted) this.#observer.unexpected?.(error);
      })
      .finally(() => {
        this.#underWay.delete(repair.name);
        this.#observer.ended?.(repair.name);
      });
    this.#underWay.set(repair.name, run);
  }

  /** Resolves when every repair now under way has ended. */
  async drained(): Promise<void> {
    await Promise.all(this.#underWay.values());
  }

  async #run(
    repair: Repair,
    { runtime, mirrors, veto }: Omit<RepairContext, "observer" | "signal">,
    retries: RetrySchedule,
  ): Promise<void> {
    const start = this.#clock.now();
    using repairing = new LinkedSignal(this.#signal);
    const context = { runtime, mirrors, veto, observer: this.#observer, signal: repairing.signal };
    const outcome = await repairImage(repair, context);
    const end = this.#clock.now();
    if (outcome.result === "repaired") this.#repaired++;
    if (outcome.result === "failed") this.#failed++;
    const before = retries.get(repair.name)?.last;
    const { nextTryAt } = retries.record(repair, outcome, end, this.#random());
    const seconds = (end - start) / 1000;
    this.#observer.finished?.({ repair, outcome, before, seconds, nextTrySeconds: (nextTryAt - end) / 1000 });
  }
}
