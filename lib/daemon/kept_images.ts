// Images that are held present whatever the pods say: the sandbox image is the reason, whose absence shows only as a pod
// that stays in ContainerCreating. Pulled by the same rules and the same repair as any other.

import type { Ground, Parts } from "../pass.ts";
import { isRefusal, planImage, type Target } from "../plan/plan.ts";
import { Follower } from "../support/linked_signal.ts";

/** How often images that were all there are looked at again, in milliseconds. */
const INTERVAL_MS = 5 * 60_000;

/** Looks after the `keep` list: at start, when told to hurry, and every few minutes. */
export class Keeper {
  #nextLookAt = -Infinity;
  #looking: Promise<void> | undefined;
  /** Whether the last look ended and found images missing. */
  #isAnyMissing = false;

  /** Looks, when it is time to, beside the passes. Resolves when the look has ended, at once when there is none to begin. */
  async tend(parts: Parts, ground: Ground, signal: AbortSignal): Promise<void> {
    if (parts.keep.images.length === 0 || this.#looking !== undefined || ground.now() < this.#nextLookAt) return;
    this.#looking = this.#look(parts, ground, signal).finally(() => this.#looking = undefined);
    await this.#looking;
  }

  /**
   * The earliest time at which a kept image is to be tried again. Undefined while nothing is known to be missing: the
   * next pass then begins no repair.
   */
  nextTryAt({ keep }: Parts, underWay: (name: string) => boolean): number | undefined {
    return this.#isAnyMissing && this.#looking === undefined ? keep.bench.attempts.nextTryAt(underWay) : undefined;
  }

  /** An image was removed, or the Engine came back: the next call looks. */
  hurry(): void {
    this.#nextLookAt = -Infinity;
  }

  /** Resolves when no look is under way. */
  async idle(): Promise<void> {
    await this.#looking;
  }

  async #look(parts: Parts, ground: Ground, signal: AbortSignal): Promise<void> {
    const { images, bench } = parts.keep;
    try {
      using looking = new Follower(signal);
      const missing = await this.#missing(parts, ground, looking.signal);
      this.#isAnyMissing = missing.length > 0;
      bench.attempts.keepOnly(new Set(missing.map(({ name }) => name)));
      for (const target of missing) {
        const record = bench.attempts.get(target.name);
        const waits = record?.last.result === "failed" && ground.now() < record.nextTryAt;
        if (!waits) ground.repairs.start({ ...target, failures: [] }, bench);
      }
      // What is missing is looked for with every pass, until it is there.
      if (missing.length === 0) this.#nextLookAt = ground.now() + INTERVAL_MS;
    } catch (error) {
      this.#isAnyMissing = false;
      if (!signal.aborted) ground.observer.cannotLookAfterKept?.(images, error);
    }
  }

  async #missing(parts: Parts, ground: Ground, signal: AbortSignal): Promise<Target[]> {
    const { images, bench } = parts.keep;
    const imageStore = images.some((image) => image.includes("@")) ? await parts.imageStore(signal) : undefined;
    const missing: Target[] = [];
    for (const image of images) {
      const planned = planImage(image, { ...parts, imageStore });
      if (isRefusal(planned)) ground.observer.cannotKeep?.(image, planned);
      else if (await bench.tools.runtime.inspect(planned.name, signal) === undefined) missing.push(planned);
    }
    return missing;
  }
}
