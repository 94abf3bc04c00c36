// Keeps images present regardless of the pods. The sandbox image is the reason: its absence shows
// only as a pod that stays in ContainerCreating. They are pulled by the same rules and the same
// repair as any other image.

import type { NodeContext, ProcessContext } from "../pass.ts";
import { isRefusal, planImage, type Target } from "../plan/plan.ts";
import { LinkedSignal } from "../support/timeouts.ts";

/** The interval between checks while every image is present, in milliseconds. */
const INTERVAL_MS = 5 * 60_000;

/** A node whose config may name images to keep. */
type KeepingNode = NodeContext<{ readonly keep: readonly string[] }>;

/** Checks the `keep` list at start, on request, and every few minutes. */
export class KeptImages {
  readonly #process: ProcessContext;
  #nextCheckAt = -Infinity;
  #checking: Promise<void> | undefined;
  /** Whether the last check completed and found images missing. */
  #isAnyMissing = false;

  constructor(process: ProcessContext) {
    this.#process = process;
  }

  /**
   * Checks if a check is due, concurrently with the passes. Resolves when the check has ended, or
   * at once if none is due.
   */
  async check(node: KeepingNode, signal: AbortSignal): Promise<void> {
    const { clock } = this.#process;
    if (node.config.keep.length === 0 || this.#checking !== undefined || clock.now() < this.#nextCheckAt) return;
    this.#checking = this.#checkNow(node, signal).finally(() => this.#checking = undefined);
    await this.#checking;
  }

  /**
   * Returns the earliest time to retry a kept image. Returns undefined while a check runs or no
   * image is known to be missing, because the next pass then starts no repair.
   */
  nextTryAt(): number | undefined {
    const { memory, repairs } = this.#process;
    if (!this.#isAnyMissing || this.#checking !== undefined) return undefined;
    return memory.keptRetries.nextTryAt((name) => repairs.underWay(name));
  }

  /** Makes the next call of check() check: an image was removed, or the runtime came back. */
  checkSoon(): void {
    this.#nextCheckAt = -Infinity;
  }

  /** Resolves when no check is running. */
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
      // While an image is missing, every pass checks again.
      if (missing.length === 0) this.#nextCheckAt = clock.now() + INTERVAL_MS;
    } catch (error) {
      this.#isAnyMissing = false;
      if (!signal.aborted) observer.cannotLookAfterKept?.(node.config.keep, error);
    }
  }

  async #missing(node: KeepingNode, signal: AbortSignal): Promise<Target[]> {
    const { keep } = node.config;
    const canAliasDigest = keep.some((image) => image.includes("@")) ? await node.canAliasDigest(signal) : undefined;
    const redirected = await node.redirectedHosts();
    const missing: Target[] = [];
    for (const image of keep) {
      const planned = planImage(image, { ...node, canAliasDigest, redirected });
      if (isRefusal(planned)) this.#process.observer.cannotKeep?.(image, planned);
      else if (await node.runtime.inspect(planned.name, signal) === undefined) missing.push(planned);
    }
    return missing;
  }
}
