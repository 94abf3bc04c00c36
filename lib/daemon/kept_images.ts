// Images that are held present whatever the pods say: the sandbox image is the reason, whose absence shows only as a pod
// that stays in ContainerCreating. Pulled by the same rules and the same repair as any other.

import type { NodeContext, ProcessContext } from "../pass.ts";
import { isRefusal, planImage, type Target } from "../plan/plan.ts";
import { Follower } from "../support/linked_signal.ts";

/** How often images that were all there are looked at again, in milliseconds. */
const INTERVAL_MS = 5 * 60_000;

/** The node as a config that may name images to hold present makes it. */
type KeepingNode = NodeContext<{ readonly keep: readonly string[] }>;

/** Looks after the `keep` list: at start, when told to hurry, and every few minutes. */
export class Keeper {
  readonly #process: ProcessContext;
  #nextLookAt = -Infinity;
  #looking: Promise<void> | undefined;
  /** Whether the last look ended and found images missing. */
  #isAnyMissing = false;

  constructor(process: ProcessContext) {
    this.#process = process;
  }

  /** Looks, when it is time to, beside the passes. Resolves when the look has ended, at once when there is none to begin. */
  async tend(node: KeepingNode, signal: AbortSignal): Promise<void> {
    const { clock } = this.#process;
    if (node.config.keep.length === 0 || this.#looking !== undefined || clock.now() < this.#nextLookAt) return;
    this.#looking = this.#look(node, signal).finally(() => this.#looking = undefined);
    await this.#looking;
  }

  /**
   * The earliest time at which a kept image is to be tried again. Undefined while nothing is known to be missing: the
   * next pass then begins no repair.
   */
  nextTryAt(): number | undefined {
    const { memory, repairs } = this.#process;
    if (!this.#isAnyMissing || this.#looking !== undefined) return undefined;
    return memory.keptRetries.nextTryAt((name) => repairs.underWay(name));
  }

  /** An image was removed, or the runtime came back: the next call looks. */
  hurry(): void {
    this.#nextLookAt = -Infinity;
  }

  /** Resolves when no look is under way. */
  async idle(): Promise<void> {
    await this.#looking;
  }

  async #look(node: KeepingNode, signal: AbortSignal): Promise<void> {
    const { clock, memory: { keptRetries }, repairs, observer } = this.#process;
    try {
      using looking = new Follower(signal);
      const missing = await this.#missing(node, looking.signal);
      this.#isAnyMissing = missing.length > 0;
      keptRetries.retain(new Set(missing.map(({ name }) => name)));
      for (const target of missing) {
        const record = keptRetries.get(target.name);
        const waits = record?.last.result === "failed" && clock.now() < record.nextTryAt;
        if (!waits) repairs.start({ ...target, failures: [] }, node, keptRetries);
      }
      // What is missing is looked for with every pass, until it is there.
      if (missing.length === 0) this.#nextLookAt = clock.now() + INTERVAL_MS;
    } catch (error) {
      this.#isAnyMissing = false;
      if (!signal.aborted) observer.cannotLookAfterKept?.(node.config.keep, error);
    }
  }

  async #missing(node: KeepingNode, signal: AbortSignal): Promise<Target[]> {
    const { keep } = node.config;
    const canAliasDigest = keep.some((image) => image.includes("@")) ? await node.canAliasDigest(signal) : undefined;
    const missing: Target[] = [];
    for (const image of keep) {
      const planned = planImage(image, { ...node, canAliasDigest });
      if (isRefusal(planned)) this.#process.observer.cannotKeep?.(image, planned);
      else if (await node.runtime.inspect(planned.name, signal) === undefined) missing.push(planned);
    }
    return missing;
  }
}
