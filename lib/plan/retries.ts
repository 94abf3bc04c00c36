// When to try which image again. Time and chance are arguments.

import type { Candidate } from "../images/rules.ts";
import { growing, scattered } from "../support/backoff.ts";
import type { Failed, Outcome } from "./outcome.ts";

/** Pauses between tries of one image, in seconds. */
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

/** What more is kept, to be judged by when the config changes. */
interface Tried {
  readonly record: RetryRecord;
  /** What the try had to choose from, and when it ended. */
  readonly candidates: readonly Candidate[];
  readonly at: number;
  /** The chance by which the pause was scattered, in [0, 1). */
  readonly random: number;
}

/** Answers that only a person can change are asked again up to this many times more rarely. */
const FINAL_FACTOR = 6;

/** After a repair the kubelet looks again within about 16 s; until then its report is old news. */
export const KUBELET_RETRY_SECONDS = 20;

/** The pauses are scattered by up to this share, so that a fleet does not fall on a mirror that comes back. */
const JITTER = 0.2;

/** An image as a plan has it. */
interface TriedImage {
  readonly name: string;
  readonly candidates: readonly Candidate[];
}

/** Keyed by the name the kubelet looks up; entries of images that nobody waits for are dropped with `retain`. */
export class RetrySchedule {
  readonly #tried = new Map<string, Tried>();
  #backoff: Backoff;

  constructor(backoff: Backoff) {
    this.#backoff = backoff;
  }

  get(name: string): RetryRecord | undefined {
    return this.#tried.get(name)?.record;
  }

  /**
   * The earliest time at which an image is to be looked at again, of those that are not being repaired; undefined when
   * there is none.
   */
  nextTryAt(underWay: (name: string) => boolean): number | undefined {
    let earliest: number | undefined;
    for (const [name, { record: { nextTryAt } }] of this.#tried) {
      if (!underWay(name) && !(earliest !== undefined && earliest <= nextTryAt)) earliest = nextTryAt;
    }
    return earliest;
  }

  /** Records what came of a try that ended at `now`; `random` is in [0, 1). */
  record(image: TriedImage, outcome: Outcome, now: number, random: number): RetryRecord {
    const { name, candidates } = image;
    const before = this.get(name)?.failures ?? 0;
    // That the runtime is away says nothing of the image, which is to come soon after it is back.
    const failures = outcome.result !== "failed" ? 0 : outcome.runtimeSilent ? before : before + 1;
    const record = this.#recordOf(outcome, failures, now, random);
    this.#tried.set(name, { record, candidates, at: now, random });
    return record;
  }

  /** Pauses are these from now on, those that have begun too. */
  changeBackoff(backoff: Backoff): void {
    this.#backoff = backoff;
    for (const [name, tried] of this.#tried) {
      const { record: { last, failures }, at, random } = tried;
      this.#tried.set(name, { ...tried, record: this.#recordOf(last, failures, at, random) });
    }
  }

  /** Forgets the images of which this holds: by their name, what came of the last try, and what it had to choose from. */
  forgetIf(isStale: (name: string, last: Outcome, candidates: readonly Candidate[]) => boolean): void {
    for (const [name, { record, candidates }] of this.#tried) {
      if (isStale(name, record.last, candidates)) this.#tried.delete(name);
    }
  }

  /** Forgets every image but these: a pod that is gone and comes back starts afresh. */
  retain(names: ReadonlySet<string>): void {
    this.forgetIf((name) => !names.has(name));
  }

  #recordOf(outcome: Outcome, failures: number, at: number, random: number): RetryRecord {
    return { failures, nextTryAt: at + 1000 * this.#pauseSeconds(outcome, failures, random), last: outcome };
  }

  #pauseSeconds(outcome: Outcome, failures: number, random: number): number {
    if (outcome.result !== "failed") return KUBELET_RETRY_SECONDS;
    const { initialSeconds, maxSeconds } = this.#backoff;
    const ceiling = maxSeconds * longerWhenFinal(outcome);
    return scattered(growing(initialSeconds, ceiling, failures), JITTER, random);
  }
}

function longerWhenFinal(outcome: Failed): number {
  return outcome.reason === undefined ? 1 : FINAL_FACTOR;
}
