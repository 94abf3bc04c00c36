// Mirrors that are down cool down, so that a dead one is not asked again for each image. Time and chance are arguments.

import { growing, scattered } from "../support/backoff.ts";

/** Pauses of a mirror that does not answer, in seconds: the first, and the longest. */
const FIRST_SECONDS = 5;
const LONGEST_SECONDS = 120;
/** The longest pause a mirror can ask for; beyond it a slip of the mirror would be our outage. */
const LONGEST_ASKED_SECONDS = 600;
const JITTER = 0.2;

/** A pause of one mirror, and why. */
export interface Cooldown {
  /** Milliseconds since the epoch. */
  readonly until: number;
  readonly failures: number;
  readonly because: string;
}

/** Keyed by the mirror's host, since a refused connection says nothing of one path only. */
export class Cooldowns {
  readonly #cooldowns = new Map<string, Cooldown>();

  /** The cool-down a mirror is in at `now`, or undefined when it may be asked. */
  current(mirror: string, now: number): Cooldown | undefined {
    const cooldown = this.#cooldowns.get(mirror);
    return cooldown !== undefined && now < cooldown.until ? cooldown : undefined;
  }

  /** Every mirror that has failed and not delivered since, cooling down or not. */
  all(): ReadonlyMap<string, Cooldown> {
    return this.#cooldowns;
  }

  /** Starts a cool-down, longer each time; `askedSeconds` is the mirror's own Retry-After. `random` is in [0, 1). */
  start(mirror: string, because: string, now: number, random: number, askedSeconds?: number): Cooldown {
    const known = this.#cooldowns.get(mirror);
    // Pulls that were under way together fail together; that is one failure of the mirror, not ten.
    if (known !== undefined && now < known.until) return this.#prolong(mirror, known, now, askedSeconds);
    const failures = (known?.failures ?? 0) + 1;
    const own = scattered(growing(FIRST_SECONDS, LONGEST_SECONDS, failures), JITTER, random);
    const seconds = Math.max(own, Math.min(askedSeconds ?? 0, LONGEST_ASKED_SECONDS));
    const cooldown = { until: now + 1000 * seconds, failures, because };
    this.#cooldowns.set(mirror, cooldown);
    return cooldown;
  }

  // What a mirror asks for meanwhile may lengthen the cool-down, but never cut it short.
  #prolong(mirror: string, known: Cooldown, now: number, askedSeconds = 0): Cooldown {
    const until = Math.max(known.until, now + 1000 * Math.min(askedSeconds, LONGEST_ASKED_SECONDS));
    const cooldown = { ...known, until };
    this.#cooldowns.set(mirror, cooldown);
    return cooldown;
  }

  /** The mirror answered: its cool-down is over. */
  end(mirror: string): void {
    this.#cooldowns.delete(mirror);
  }
}
