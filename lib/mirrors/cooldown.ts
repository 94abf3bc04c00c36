// Cool-downs of mirrors that are down, so that a dead mirror is not contacted again for each image.
// Time and randomness are arguments.

import { growing, scattered } from "../support/backoff.ts";

/** The first and the longest pause of a mirror that does not answer, in seconds. */
const FIRST_SECONDS = 5;
const LONGEST_SECONDS = 120;
/**
 * The longest pause that a mirror can request, in seconds. The limit keeps a mirror's mistake from
 * becoming our outage.
 */
const LONGEST_ASKED_SECONDS = 600;
const JITTER = 0.2;

/** A pause of one mirror, and its reason. */
export interface Cooldown {
  /** Milliseconds since the epoch. */
  readonly until: number;
  readonly failures: number;
  readonly because: string;
}

/** Cool-downs, keyed by the mirror's host: a refused connection affects all of its paths. */
export class Cooldowns {
  readonly #cooldowns = new Map<string, Cooldown>();

  /** Returns the mirror's cool-down at `now`, or undefined if it may be contacted. */
  current(mirror: string, now: number): Cooldown | undefined {
    const cooldown = this.#cooldowns.get(mirror);
    return cooldown !== undefined && now < cooldown.until ? cooldown : undefined;
  }

  /** All mirrors that have failed and not delivered since, whether cooling down or not. */
  all(): ReadonlyMap<string, Cooldown> {
    return this.#cooldowns;
  }

  /**
   * Starts a cool-down, longer each time. `askedSeconds` is the mirror's Retry-After; `random` is
   * in [0, 1).
   */
  start(mirror: string, because: string, now: number, random: number, askedSeconds?: number): Cooldown {
    const known = this.#cooldowns.get(mirror);
    // Concurrent pulls fail together; that counts as one failure of the mirror.
    if (known !== undefined && now < known.until) return this.#prolong(mirror, known, now, askedSeconds);
    const failures = (known?.failures ?? 0) + 1;
    const own = scattered(growing(FIRST_SECONDS, LONGEST_SECONDS, failures), JITTER, random);
    const seconds = Math.max(own, Math.min(askedSeconds ?? 0, LONGEST_ASKED_SECONDS));
    const cooldown = { until: now + 1000 * seconds, failures, because };
    this.#cooldowns.set(mirror, cooldown);
    return cooldown;
  }

  // A request of the mirror during the cool-down may lengthen it, but never shorten it.
  #prolong(mirror: string, known: Cooldown, now: number, askedSeconds = 0): Cooldown {
    const until = Math.max(known.until, now + 1000 * Math.min(askedSeconds, LONGEST_ASKED_SECONDS));
    const cooldown = { ...known, until };
    this.#cooldowns.set(mirror, cooldown);
    return cooldown;
  }

  /** Ends the mirror's cool-down and resets its failures. */
  end(mirror: string): void {
    this.#cooldowns.delete(mirror);
  }
}
