// When to try which image again. A book of past outcomes; time and chance are handed in.

import type { Failed, Outcome } from "./outcome.ts";

/** Pauses between tries of one image, in seconds. */
export interface Backoff {
  readonly initialSeconds: number;
  readonly maxSeconds: number;
}

/** What is known of one image; times are milliseconds since the epoch. */
export interface AttemptRecord {
  readonly failures: number;
  readonly nextTryAt: number;
  readonly last: Outcome;
}

/** Answers that only a person can change are asked again up to this many times more rarely. */
const PATIENCE_FACTOR = 6;

/** After a repair the kubelet looks again within about 16 s; until then its report is old news. */
export const KUBELET_RETRY_SECONDS = 20;

/** The pauses are scattered by up to this share, so that a fleet does not fall on a mirror that comes back. */
const JITTER = 0.2;

/** Keyed by the name the kubelet looks up; entries of images that nobody waits for are dropped with `keepOnly`. */
export class Attempts {
  readonly #records = new Map<string, AttemptRecord>();
  readonly #backoff: Backoff;

  constructor(backoff: Backoff) {
    this.#backoff = backoff;
  }

  get(name: string): AttemptRecord | undefined {
    return this.#records.get(name);
  }

  /**
   * The earliest time at which an image is to be looked at again, of those that are not being repaired; undefined when
   * there is none.
   */
  nextTryAt(underWay: (name: string) => boolean): number | undefined {
    let earliest: number | undefined;
    for (const [name, { nextTryAt }] of this.#records) {
      if (!underWay(name) && !(earliest !== undefined && earliest <= nextTryAt)) earliest = nextTryAt;
    }
    return earliest;
  }

  /** Notes what came of a try at `now`; `random` is in [0, 1). */
  note(name: string, outcome: Outcome, now: number, random: number): AttemptRecord {
    const before = this.#records.get(name)?.failures ?? 0;
    // That the runtime is away says nothing of the image, which is to come soon after it is back.
    const failures = outcome.result !== "failed" ? 0 : outcome.runtimeSilent ? before : before + 1;
    const record = { failures, nextTryAt: now + 1000 * this.#pauseSeconds(outcome, failures, random), last: outcome };
    this.#records.set(name, record);
    return record;
  }

  /** Forgets every image but these: a pod that is gone and comes back starts afresh. */
  keepOnly(names: ReadonlySet<string>): void {
    for (const name of this.#records.keys()) if (!names.has(name)) this.#records.delete(name);
  }

  #pauseSeconds(outcome: Outcome, failures: number, random: number): number {
    if (outcome.result !== "failed") return KUBELET_RETRY_SECONDS;
    const { initialSeconds, maxSeconds } = this.#backoff;
    const ceiling = maxSeconds * patienceWith(outcome);
    return Math.min(initialSeconds * 2 ** Math.min(Math.max(failures - 1, 0), 30), ceiling) * (1 + JITTER * random);
  }
}

function patienceWith(outcome: Failed): number {
  return outcome.reason === undefined ? 1 : PATIENCE_FACTOR;
}
