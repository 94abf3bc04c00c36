// Mirrors as a repair sees them; MirrorPool in pool.ts implements them.

import type { RegistryAuth, RegistryError } from "../images/registry.ts";
import type { Candidate } from "../images/rules.ts";
import type { ShouldYield } from "../support/semaphore.ts";
import type { Cooldown } from "./cooldown.ts";

/** A candidate must not be requested now. */
export interface CoolingDown {
  /** What is cooling down, for how much longer, and why. */
  readonly message: string;
  /** When the cool-down ends, in milliseconds by Clock.now. */
  readonly until: number;
}

/** A repair's view of the mirrors: whether to contact one, its credentials, and its results. */
export interface Mirrors {
  /** Returns why the candidate must not be requested now, or undefined. */
  coolingDown(candidate: Candidate): CoolingDown | undefined;
  /** Returns the credentials to use at the mirror for this full name. */
  credentials(mirror: string, reference: string): Promise<RegistryAuth | undefined>;
  /** Describes the credentials last used at the mirror for this name, to explain a denial. */
  credentialsInWords(mirror: string, reference: string): string;
  /** Runs `pull` when the mirror has a free slot; others may go first, see Semaphore. */
  withSlot<T>(mirror: string, signal: AbortSignal, pull: () => Promise<T>, shouldYield?: ShouldYield): Promise<T>;
  /**
   * Asks the mirror something about an image that is queued. Returns false, without asking, if the
   * mirror's answers are in doubt. Throws what `ask` throws.
   */
  probe(candidate: Candidate, signal: AbortSignal, ask: () => Promise<boolean>): Promise<boolean>;
  /** A pull begins, which the candidate's cool-down does not forbid. */
  trying(candidate: Candidate): void;
  delivered(candidate: Candidate): void;
  failed(candidate: Candidate, error: RegistryError): void;
}

/** Notifications about mirrors. */
export interface MirrorObserver {
  /**
   * A mirror began cooling down, for the first time since it last delivered: its host, or the
   * location of a rule, `host[:port]/path`.
   */
  mirrorCoolsDown?(mirror: string, cooldown: Cooldown): void;
  /** A host or a location that had failed delivered. */
  mirrorRecovered?(mirror: string): void;
  /** The credentials of a mirror cannot be used; it is contacted without any. */
  authProblem?(mirror: string, problem: string): void;
}
