// Mirrors that are down rest, so that one dead mirror is not asked again for every image. Time and chance are handed in.

/** Pauses of a mirror that does not answer, in seconds: the first, and the longest. */
const FIRST_REST_SECONDS = 5;
const LONGEST_REST_SECONDS = 120;
/** The longest pause a mirror can ask for; beyond it a slip of the mirror would be our outage. */
const LONGEST_ASKED_SECONDS = 600;
const JITTER = 0.2;

/** A pause of one mirror, and why. */
export interface Rest {
  /** Milliseconds since the epoch. */
  readonly until: number;
  readonly failures: number;
  readonly because: string;
}

/** Keyed by the mirror's host, since a refused connection says nothing of one path only. */
export class MirrorRests {
  readonly #rests = new Map<string, Rest>();

  /** The rest a mirror is in at `now`, or undefined when it may be asked. */
  current(mirror: string, now: number): Rest | undefined {
    const rest = this.#rests.get(mirror);
    return rest !== undefined && now < rest.until ? rest : undefined;
  }

  /** Every mirror that has failed and not delivered since, resting or not. */
  all(): ReadonlyMap<string, Rest> {
    return this.#rests;
  }

  /** Sends a mirror to rest, longer each time; `askedSeconds` is its own Retry-After. `random` is in [0, 1). */
  send(mirror: string, because: string, now: number, random: number, askedSeconds?: number): Rest {
    const known = this.#rests.get(mirror);
    // Pulls that were under way together fail together; that is one failure of the mirror, not ten.
    if (known !== undefined && now < known.until) return this.#prolong(mirror, known, now, askedSeconds);
    const failures = (known?.failures ?? 0) + 1;
    const own = Math.min(FIRST_REST_SECONDS * 2 ** Math.min(failures - 1, 30), LONGEST_REST_SECONDS);
    const seconds = Math.max(own * (1 + JITTER * random), Math.min(askedSeconds ?? 0, LONGEST_ASKED_SECONDS));
    const rest = { until: now + 1000 * seconds, failures, because };
    this.#rests.set(mirror, rest);
    return rest;
  }

  // What a mirror asks for while it rests may lengthen the rest, but never cut it short.
  #prolong(mirror: string, known: Rest, now: number, askedSeconds = 0): Rest {
    const until = Math.max(known.until, now + 1000 * Math.min(askedSeconds, LONGEST_ASKED_SECONDS));
    const rest = { ...known, until };
    this.#rests.set(mirror, rest);
    return rest;
  }

  /** The mirror answered: its rest is over. */
  wake(mirror: string): void {
    this.#rests.delete(mirror);
  }
}
