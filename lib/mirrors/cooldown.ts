// Cool-downs, so that what is down is not contacted again for each image, and one image that fails
// takes its mirror from no other. Time and randomness are arguments.

import { concernOf } from "../images/registry.ts";
import type { Candidate } from "../images/rules.ts";
import { type Pause, Pauses } from "./pauses.ts";
import { Tally } from "./tally.ts";

/** The longest cool-down of a host that does not answer, and of a repository, in seconds. */
const LONGEST_SECONDS = 120;
/**
 * The longest cool-down of a host or a location that answers with failures, in seconds. It does
 * answer, and may have other images that it can serve.
 */
const LONGEST_ANSWERING_SECONDS = 30;

/** A location cools down when this many of its repositories failed, with no success between. */
const FAILED_REPOSITORIES = 3;
/** A host cools down when this many of its locations did, with no success between. */
const FAILED_LOCATIONS = 2;

/**
 * After an answer with a failure, and after the cool-down that it led to, it is forgotten in this
 * time: failures that are hours apart are not an outage.
 */
const FORGET_MS = 10 * 60_000;

/** How long after a cool-down its mirror is in doubt, if it has not delivered. */
const SUSPECT_MS = 60_000;
/**
 * While a mirror is in doubt one pull shows whether it is back, and others wait for its outcome, but
 * for no longer than this: a failure comes soon, an image may take its time.
 */
const TRIAL_MS = 5000;
/** That pull is not one of a repository that failed itself, if another is due within this time. */
const YIELD_MS = 2000;

/** A cool-down of a host, a location or a repository, and its reason. */
export type Cooldown = Pause;

/** A cool-down, and what it concerns. */
export interface ScopedCooldown extends Cooldown {
  /** `host[:port]`, or with a path the location of a rule or a repository. */
  readonly scope: string;
}

/** Where an image is requested. */
export type Place = Pick<Candidate, "mirror" | "location" | "repository">;

/** A failed request to a mirror. */
export interface MirrorFailure {
  /** A RegistryFailure, or anything else. */
  readonly kind: string;
  readonly because: string;
  /** The mirror's Retry-After. */
  readonly askedSeconds: number | undefined;
}

/** The time of a failure, and the random number that scatters the cool-down, in [0, 1). */
export interface FailureMoment {
  readonly now: number;
  readonly random: number;
}

/**
 * Cool-downs in three scopes. A mirror that cannot be reached cools down as a host: a refused
 * connection affects all of its paths. An answer that is a failure concerns one repository at
 * first, such as one that a pull-through cache cannot fetch; when several repositories of a rule's
 * location fail so, the location cools down, and when several locations do, the host. Whatever
 * delivers ends the cool-down of its repository, its location and its host.
 */
export class Cooldowns {
  readonly #hosts = new Pauses();
  /** Locations with a path; one without is its host. */
  readonly #locations = new Pauses();
  readonly #repositories = new Pauses();
  readonly #failedRepositories = new Tally(FORGET_MS);
  readonly #failedLocations = new Tally(FORGET_MS);
  /** Hosts and locations that a pull tries while they are in doubt, and until when others wait. */
  readonly #trials = new Map<string, number>();

  /** Returns the longest cool-down because of which the place must not be contacted at `now`. */
  current(place: Place, now: number): ScopedCooldown | undefined {
    const { mirror, location, repository } = place;
    const own = this.#repositories.get(repository);
    const found: ScopedCooldown[] = own === undefined ? [] : [{ ...own, scope: repository }];
    const yieldMs = own === undefined ? 0 : YIELD_MS;
    for (const [scope, pauses] of [[mirror, this.#hosts], [location, this.#locations]] as const) {
      const pause = pauses.get(scope);
      if (pause === undefined) continue;
      found.push({ ...pause, until: Math.max(pause.until + yieldMs, this.#trials.get(scope) ?? 0), scope });
    }
    const running = found.filter(({ until }) => now < until);
    return running.length === 0 ? undefined : running.reduce((one, other) => other.until > one.until ? other : one);
  }

  /** Notes that a pull begins; while its host or location is in doubt, others wait for its end. */
  trying(place: Place, now: number): void {
    for (const scope of this.#suspects(place, now)) {
      if (!this.#trials.has(scope)) this.#trials.set(scope, now + TRIAL_MS);
    }
  }

  /** Reports whether the place's host or location failed lately and has not delivered since. */
  isSuspect(place: Place, now: number): boolean {
    return this.#suspects(place, now).length > 0;
  }

  #suspects({ mirror, location }: Place, now: number): readonly string[] {
    const isSuspect = (pause: Pause | undefined) => pause !== undefined && now < pause.until + SUSPECT_MS;
    return [
      ...(isSuspect(this.#hosts.get(mirror)) ? [mirror] : []),
      ...(isSuspect(this.#locations.get(location)) ? [location] : []),
    ];
  }

  /**
   * The hosts and the locations that failed and have not delivered since, whether cooling down or
   * not. A location is `host[:port]/path`.
   */
  mirrors(now: number): ReadonlyMap<string, Cooldown> {
    this.#forgetOld(now);
    return new Map([...this.#hosts.all(), ...this.#locations.all()]);
  }

  /**
   * Starts the cool-down that a failure calls for, if any, longer each time. Returns those of hosts
   * and locations that had not failed since they last delivered.
   */
  failed(place: Place, failure: MirrorFailure, { now, random }: FailureMoment): readonly ScopedCooldown[] {
    const { mirror, repository } = place;
    this.#forgetOld(now);
    this.#endTrial(place);
    const news: ScopedCooldown[] = [];
    const start = (scope: string, pauses: Pauses, longestSeconds: number, because = failure.because) => {
      const isNew = pauses.get(scope) === undefined;
      const pause = pauses.start(scope, { ...failure, because, now, random, longestSeconds });
      if (isNew && pauses !== this.#repositories) news.push({ ...pause, scope });
    };
    switch (concernOf(failure.kind)) {
      case "image":
        break;
      case "host":
        start(mirror, this.#hosts, LONGEST_SECONDS);
        break;
      case "repository":
        start(repository, this.#repositories, LONGEST_SECONDS);
        for (const [scope, pauses, what] of this.#failing(place, now)) {
          start(scope, pauses, LONGEST_ANSWERING_SECONDS, `${what} failed in a row, the last: ${failure.because}`);
        }
    }
    return news;
  }

  /** Counts a repository that failed, and returns what else fails with it: its location, its host. */
  #failing(
    { mirror, location, repository }: Place,
    now: number,
  ): readonly (readonly [scope: string, Pauses, what: string])[] {
    const repositories = this.#failedRepositories.add(location, repository, now);
    if (repositories < FAILED_REPOSITORIES) return [];
    const what = `${repositories} repositories`;
    if (location === mirror) return [[mirror, this.#hosts, what]];
    const locations = this.#failedLocations.add(mirror, location, now);
    if (locations < FAILED_LOCATIONS) return [[location, this.#locations, what]];
    return [[location, this.#locations, what], [mirror, this.#hosts, `${locations} paths`]];
  }

  /** Ends the place's cool-downs. Returns its host and its location, if they had failed. */
  delivered(place: Place): readonly string[] {
    const { mirror, location, repository } = place;
    this.#endTrial(place);
    const recovered = [];
    if (this.#locations.end(location)) recovered.push(location);
    if (this.#hosts.end(mirror)) recovered.push(mirror);
    this.#repositories.end(repository);
    this.#failedRepositories.clear(location);
    this.#failedLocations.clear(mirror);
    return recovered;
  }

  /** Ends the cool-downs of the scopes for which `isGone` returns true. */
  forgetIf(isGone: (scope: string) => boolean): void {
    for (const pauses of [this.#hosts, this.#locations, this.#repositories]) pauses.endIf(isGone);
    for (const tally of [this.#failedRepositories, this.#failedLocations]) tally.clearIf(isGone);
    for (const scope of this.#trials.keys()) if (isGone(scope)) this.#trials.delete(scope);
  }

  #endTrial({ mirror, location }: Place): void {
    this.#trials.delete(mirror);
    this.#trials.delete(location);
  }

  #forgetOld(now: number): void {
    const isOld = (_: string, { until }: Pause) => now >= until + FORGET_MS;
    this.#locations.endIf(isOld);
    this.#repositories.endIf(isOld);
  }
}
