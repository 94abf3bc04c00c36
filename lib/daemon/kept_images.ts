// Images that are held present whatever the pods say: the sandbox image is the reason, whose absence shows only as a pod
// that stays in ContainerCreating. Pulled by the same rules and the same repair as any other.

import type { NodeContext, ProcessContext } from "../pass.ts";
import { isRefusal, planImage, type Target } from "../plan/plan.ts";
import { LinkedSignal } from "../support/linked_signal.ts";

/** How often images that were all there are checked again, in milliseconds. */
const INTERVAL_MS = 5 * 60_000;

/** The node as a config that may name images to hold present makes it. */
type KeepingNode = NodeContext<{ readonly keep: readonly string[] }>;

/** Checks the `keep` list at start, when asked to check soon, and every few minutes. */
export class KeptImages {
  readonly #process: ProcessContext;
  #nextCheckAt = -Infinity;
  #checking: Promise<void> | undefined;
  /** Whether the last check ended and found images missing. */
  #isAnyMissing = false;

  constructor(process: ProcessContext) {
    this.#process = process;
  }

  /** Checks, when it is time to, beside the passes. Resolves when the check has ended, at once when none is due. */
  async check(node: KeepingNode, signal: AbortSignal): Promise<void> {
    const { clock } = this.#process;
    if (node.config.keep.length === 0 || this.#checking !== undefined || clock.now() < this.#nextCheckAt) return;
    this.#checking = this.#checkNow(node, signal).finally(() => this.#checking = undefined);
    await this.#checking;
  }

  /**
   * The earliest time at which a kept image is to be tried again. Undefined while nothing is known to be missing: the
   * next pass then begins no repair.
   */
  nextTryAt(): number | undefined {
    const { memory, repairs } = this.#process;
    if (!this.#isAnyMissing || this.#checking !== undefined) return undefined;
    return memory.keptRetries.nextTryAt((name) => repairs.underWay(name));
  }

  /** An image was removed, or the runtime came back: the next call checks. */
  checkSoon(): void {
    this.#nextCheckAt = -Infinity;
  }

  /** Resolves when no check is under way. */
  async settled(): Promise<void> {
    await this.#checking;
  }

  async #checkNow(node: KeepingNode, signal: AbortSignal): Promise<void> {
    const { clock, memory: { keptRetries }, repairs, observer } = this.#process;
    try {
      using checking = new LinkedSignal(signal);
      const missing = await this.#missing(node, checking.signal);
      this.#isAnyMissing = missing.length > 0;
      keptRetries.retain(new Set(missing.map(({ name }) => name)));
      for (const target of missing) {
        const record = keptRetries.get(target.name);
        const waits = record?.last.result === "failed" && clock.now() < record.nextTryAt;
        if (!waits) repairs.start({ ...target, failures: [] }, node, keptRetries);
      }
      // What is missing is looked for with every pass, until it is there.
      if (missing.length === 0) this.#nextCheckAt = clock.now() + INTERVAL_MS;
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
