// Which refusals the ledger knows already, so that one that lasts is not written down with every pass. Time is handed in.

import { podName } from "../kubelet/pods.ts";
import type { Skip } from "../plan/plan.ts";
import type { LedgerEntry } from "./entry.ts";

/** A refusal that lasts is written down again after this long, so that a ledger that rotates still knows it. */
const AGAIN_MS = 24 * 3600 * 1000;

/** Beyond this many the oldest are forgotten, unless they last. */
const MOST_KEYS = 5000;

/** Keyed by pod and image; another reason than before is news. */
export class Refusals {
  readonly #written = new Map<string, { readonly reason: string; readonly at: number }>();

  /** Notes what the ledger holds already; entries other than refusals are none of our business. */
  learn({ result, reason, image, pods, time }: LedgerEntry): void {
    const at = Date.parse(time);
    if (result !== "unrepairable" || reason === undefined || Number.isNaN(at)) return;
    for (const pod of pods) this.#note(pod, image, reason, at);
    this.#forgetOldest([]);
  }

  /** The entries that these skips deserve at `now` (milliseconds), one for each image and reason; notes them. */
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

  // To forget one that lasts would write it down again, and so make a line of every pass.
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
