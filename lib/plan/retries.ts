// When to retry each image. Time and randomness are arguments.

import { concernOf } from "../images/registry.ts";
import type { Candidate } from "../images/rules.ts";
import { growing, scattered } from "../support/backoff.ts";
import type { Failed, Outcome } from "./outcome.ts";

/** The pauses between tries of one image, in seconds. */
export interface Backoff {
  readonly initialSeconds: number;
  readonly maxSeconds: number;
}

/** What is known of one image; times are milliseconds since the epoch. */
export interface RetryRecord {
  readonly failures: number;
  readonly nextTryAt: number;
  readonly last: Outcome;
}

/** A record together with what is needed to reassess it when the config changes. */
interface Tried {
  readonly record: RetryRecord;
  /** The candidates of the try, and when it ended (`at`). */
  readonly candidates: readonly Candidate[];
  readonly at: number;
  /** The random number that scattered the pause, in [0, 1). */
  readonly random: number;
}

/** For failures that only a person can resolve, the longest pause is multiplied by this. */
const FINAL_FACTOR = 6;

/** After a repair the kubelet checks again within about 16 s; until then its report is outdated. */
export const KUBELET_RETRY_SECONDS = 20;

/**
 * Pauses are scattered by up to this share, so that the nodes of a fleet do not all contact a
 * recovered mirror at once.
 */
const JITTER = 0.2;

/**
 * Milliseconds after a cool-down or a recovery within which the images that were held up are
 * retried: not all at once, so that the first may show that the mirror is still down.
 */
const AFTER_COOLDOWN_MS = 1000;

/** An image as the plan describes it. */
interface TriedImage {
  readonly name: string;
  readonly candidates: readonly Candidate[];
}

/**
 * The retries of images, keyed by the name that the kubelet looks up. `retain` drops the entries of
 * images that are no longer wanted.
 */
export class RetrySchedule {
  readonly #tried = new Map<string, Tried>();
  #backoff: Backoff;

  constructor(backoff: Backoff) {
    this.#backoff = backoff;
  }

  get(name: string): RetryRecord | undefined {
    return this.#tried.get(name)?.record;
  }

  /** The earliest retry among images that are not being repaired; undefined if there is none. */
  nextTryAt(underWay: (name: string) => boolean): number | undefined {
    let earliest: number | undefined;
    for (const [name, { record: { nextTryAt } }] of this.#tried) {
      if (!underWay(name) && !(earliest !== undefined && earliest <= nextTryAt)) earliest = nextTryAt;
    }
    return earliest;
  }

  /** Records the outcome of a try that ended at `now`; `random` is in [0, 1). */
  record(image: TriedImage, outcome: Outcome, now: number, random: number): RetryRecord {
    const { name, candidates } = image;
    const before = this.get(name)?.failures ?? 0;
    // A silent runtime says nothing about the image, which is to be retried soon after it answers.
    const failures = outcome.result !== "failed" ? 0 : outcome.runtimeSilent ? before : before + 1;
    const record = this.#recordOf(outcome, failures, now, random);
    this.#tried.set(name, { record, candidates, at: now, random });
    return record;
  }

  /**
   * Makes images due that a mirror held up, as it delivers again: its host, or a location
   * (`host[:port]/path`).
   */
  hasten(mirror: string, now: number): void {
    for (const [name, tried] of this.#tried) {
      const { record, random } = tried;
      if (!isHeldUpBy(mirror, record.last)) continue;
      const nextTryAt = Math.min(record.nextTryAt, now + AFTER_COOLDOWN_MS * random);
      this.#tried.set(name, { ...tried, record: { ...record, nextTryAt } });
    }
  }

  /** Changes the pauses, including those that have already begun. */
  changeBackoff(backoff: Backoff): void {
    this.#backoff = backoff;
    for (const [name, tried] of this.#tried) {
      const { record: { last, failures }, at, random } = tried;
      this.#tried.set(name, { ...tried, record: this.#recordOf(last, failures, at, random) });
    }
  }

  /**
   * Forgets the images for which `isStale` returns true, given the name, the outcome of the last
   * try, and the candidates it had.
   */
  forgetIf(isStale: (name: string, last: Outcome, candidates: readonly Candidate[]) => boolean): void {
    for (const [name, { record, candidates }] of this.#tried) {
      if (isStale(name, record.last, candidates)) this.#tried.delete(name);
    }
  }

  /** Forgets all images except these: a pod that disappears and returns starts over. */
  retain(names: ReadonlySet<string>): void {
    this.forgetIf((name) => !names.has(name));
  }

  #recordOf(outcome: Outcome, failures: number, at: number, random: number): RetryRecord {
    const due = at + 1000 * this.#pauseSeconds(outcome, failures, random);
    const nextTryAt = Math.min(due, cooledDownAt(outcome, at) + AFTER_COOLDOWN_MS * random);
    return { failures, nextTryAt, last: outcome };
  }

  #pauseSeconds(outcome: Outcome, failures: number, random: number): number {
    if (outcome.result !== "failed") return KUBELET_RETRY_SECONDS;
    const { initialSeconds, maxSeconds } = this.#backoff;
    const ceiling = maxSeconds * longerWhenFinal(outcome);
    return scattered(growing(initialSeconds, ceiling, failures), JITTER, random);
  }
}

/** When the first cool-down ends because of which a candidate was skipped; Infinity if none was. */
function cooledDownAt(outcome: Outcome, at: number): number {
  if (outcome.result !== "failed") return Infinity;
  return Math.max(at, Math.min(...outcome.attempts.map(({ until = Infinity }) => until)));
}

/** Reports whether a candidate there was skipped, or failed for more than its own sake. */
function isHeldUpBy(mirror: string, outcome: Outcome): boolean {
  return outcome.result === "failed" &&
    outcome.attempts.some(({ candidate, failure }) =>
      (candidate.mirror === mirror || candidate.location === mirror) &&
      (failure === "cooling-down" || concernOf(failure) !== "image")
    );
}

function longerWhenFinal(outcome: Failed): number {
  return outcome.reason === undefined ? 1 : FINAL_FACTOR;
}
