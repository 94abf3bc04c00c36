// Pauses after failures, longer each time, by key. Time and randomness are arguments.

import { growing, scattered } from "../support/backoff.ts";

/** The first pause after a failure, in seconds. */
const FIRST_SECONDS = 5;
/**
 * The longest pause that a mirror can request, in seconds. The limit keeps a mirror's mistake from
 * becoming our outage.
 */
const LONGEST_ASKED_SECONDS = 600;
const JITTER = 0.2;

/** A pause, and its reason. */
export interface Pause {
  /** Milliseconds since the epoch. */
  readonly until: number;
  readonly failures: number;
  readonly because: string;
}

/** A failure that starts a pause. */
export interface PauseTerms {
  readonly because: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** In [0, 1). */
  readonly random: number;
  /** The limit of the doubling, in seconds. */
  readonly longestSeconds: number;
  /** The mirror's Retry-After. */
  readonly askedSeconds: number | undefined;
}

/** The pauses of what failed and has not delivered since, whether they are over or not. */
export class Pauses {
  readonly #pauses = new Map<string, Pause>();

  get(key: string): Pause | undefined {
    return this.#pauses.get(key);
  }

  all(): ReadonlyMap<string, Pause> {
    return this.#pauses;
  }

  /** Starts a pause, longer each time. */
  start(key: string, { because, now, random, longestSeconds, askedSeconds }: PauseTerms): Pause {
    const known = this.#pauses.get(key);
    // Concurrent requests fail together; that counts as one failure.
    if (known !== undefined && now < known.until) return this.#prolong(key, known, now, askedSeconds);
    const failures = (known?.failures ?? 0) + 1;
    const own = scattered(growing(FIRST_SECONDS, longestSeconds, failures), JITTER, random);
    const seconds = Math.max(own, Math.min(askedSeconds ?? 0, LONGEST_ASKED_SECONDS));
    const pause = { until: now + 1000 * seconds, failures, because };
    this.#pauses.set(key, pause);
    return pause;
  }

  // A request of the mirror during the pause may lengthen it, but never shorten it.
  #prolong(key: string, known: Pause, now: number, askedSeconds = 0): Pause {
    const until = Math.max(known.until, now + 1000 * Math.min(askedSeconds, LONGEST_ASKED_SECONDS));
    const pause = { ...known, until };
    this.#pauses.set(key, pause);
    return pause;
  }

  /** Ends the pause and resets the failures; returns whether there were any. */
  end(key: string): boolean {
    return this.#pauses.delete(key);
  }

  /** Ends the pauses for which `isOver` returns true. */
  endIf(isOver: (key: string, pause: Pause) => boolean): void {
    for (const [key, pause] of this.#pauses) if (isOver(key, pause)) this.#pauses.delete(key);
  }
}
