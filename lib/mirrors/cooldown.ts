// Cool-downs of mirrors that are down, so that a dead mirror is not contacted again for each image.
// Time and randomness are arguments.

import { type Pause, Pauses } from "./pauses.ts";

/** The longest pause of a mirror that does not answer, in seconds. */
const LONGEST_SECONDS = 120;

/** A pause of one mirror, and its reason. */
export type Cooldown = Pause;

/** Cool-downs, keyed by the mirror's host: a refused connection affects all of its paths. */
export class Cooldowns {
  readonly #hosts = new Pauses();

  /** Returns the mirror's cool-down at `now`, or undefined if it may be contacted. */
  current(mirror: string, now: number): Cooldown | undefined {
    const cooldown = this.#hosts.get(mirror);
    return cooldown !== undefined && now < cooldown.until ? cooldown : undefined;
  }

  /** All mirrors that have failed and not delivered since, whether cooling down or not. */
  all(): ReadonlyMap<string, Cooldown> {
    return this.#hosts.all();
  }

  /**
   * Starts a cool-down, longer each time. `askedSeconds` is the mirror's Retry-After; `random` is
   * in [0, 1).
   */
  start(mirror: string, because: string, now: number, random: number, askedSeconds?: number): Cooldown {
    return this.#hosts.start(mirror, { because, now, random, longestSeconds: LONGEST_SECONDS, askedSeconds });
  }

  /** Ends the mirror's cool-down and resets its failures. */
  end(mirror: string): void {
    this.#hosts.end(mirror);
  }
}
