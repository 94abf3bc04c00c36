// Tracks the refusals that the ledger already has, so that a lasting one is not recorded on every
// pass. Time is an argument.

import { podName } from "../kubelet/pods.ts";
import type { Skip } from "../plan/plan.ts";
import type { LedgerEntry } from "./entry.ts";

/** A lasting refusal is recorded again after this long, so that a rotated ledger still has it. */
const AGAIN_MS = 24 * 3600 * 1000;

/** The most keys kept; beyond it, the oldest are forgotten unless they are current. */
const MOST_KEYS = 5000;

/** Keyed by pod and image; a different reason is news. */
export class Refusals {
  readonly #written = new Map<string, { readonly reason: string; readonly at: number }>();

  /** Records an entry that the ledger already has; ignores entries that are not refusals. */
  learn({ result, reason, image, pods, time }: LedgerEntry): void {
    const at = Date.parse(time);
    if (result !== "unrepairable" || reason === undefined || Number.isNaN(at)) return;
    for (const pod of pods) this.#note(pod, image, reason, at);
    this.#forgetOldest([]);
  }

  /**
   * Returns the entries to write for these skips at `now` (milliseconds), one for each image and
   * reason, and records them.
   */
  fresh(skips: readonly Skip[], now: number): LedgerEntry[] {
    const entries = new Map<string, LedgerEntry & { pods: string[] }>();
    for (const { failure, reason, advice } of skips) {
      const { image } = failure;
      const pod = podName(failure.pod);
      const known = this.#written.get(keyOf(pod, image));
      if (known?.reason === reason && Math.abs(now - known.at) < AGAIN_MS) continue;
      this.#note(pod, image, reason, now);
      const key = JSON.stringify([image, reason, advice]);
      const entry = entries.get(key);
      if (entry !== undefined) entry.pods.push(pod);
      else {
        const time = new Date(now).toISOString();
        entries.set(key, { time, result: "unrepairable", image, pods: [pod], reason, advice });
      }
    }
    this.#forgetOldest(skips);
    return [...entries.values()];
  }

  #note(pod: string, image: string, reason: string, at: number): void {
    const key = keyOf(pod, image);
    this.#written.delete(key);
    this.#written.set(key, { reason, at });
  }

  // Forgetting a current refusal would record it again, and so add a line on every pass.
  #forgetOldest(skips: readonly Skip[]): void {
    if (this.#written.size <= MOST_KEYS) return;
    const lasting = new Set(skips.map(({ failure: { pod, image } }) => keyOf(podName(pod), image)));
    for (const key of this.#written.keys()) {
      if (this.#written.size <= MOST_KEYS) return;
      if (!lasting.has(key)) this.#written.delete(key);
    }
  }
}

function keyOf(pod: string, image: string): string {
  return `${pod} ${image}`;
}
