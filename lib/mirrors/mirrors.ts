// Mirrors as a repair sees them; MirrorPool in pool.ts implements them.

import type { RegistryAuth, RegistryError } from "../images/registry.ts";
import type { ShouldYield } from "../support/semaphore.ts";
import type { Cooldown } from "./cooldown.ts";

/** A repair's view of the mirrors: whether to contact one, its credentials, and its results. */
export interface Mirrors {
  /** Returns why the mirror must not be contacted now, or undefined. */
  coolingDown(mirror: string): string | undefined;
  /** Returns the credentials to use at the mirror for this full name. */
  credentials(mirror: string, reference: string): Promise<RegistryAuth | undefined>;
  /** Describes the credentials last used at the mirror for this name, to explain a denial. */
  credentialsInWords(mirror: string, reference: string): string;
  /** Runs `pull` when the mirror has a free slot; others may go first, see Semaphore. */
  withSlot<T>(mirror: string, signal: AbortSignal, pull: () => Promise<T>, shouldYield?: ShouldYield): Promise<T>;
  delivered(mirror: string): void;
  failed(mirror: string, error: RegistryError): void;
}

/** Notifications about mirrors. */
export interface MirrorObserver {
  /** A mirror began cooling down, for the first time since it last delivered. */
  mirrorCoolsDown?(mirror: string, cooldown: Cooldown): void;
  /** A mirror that had failed delivered. */
  mirrorRecovered?(mirror: string): void;
  /** The credentials of a mirror cannot be used; it is contacted without any. */
  authProblem?(mirror: string, problem: string): void;
}
