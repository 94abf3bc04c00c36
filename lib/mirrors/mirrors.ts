// What a repair knows of mirrors, and what it hears of them. The pool beside it is what stands behind.

import type { RegistryAuth, RegistryError } from "../images/registry.ts";
import type { ShouldYield } from "../support/semaphore.ts";
import type { Cooldown } from "./cooldown.ts";

/** The mirror's side of a repair: may it be asked, with which credentials, and what it answered. */
export interface Mirrors {
  /** Why the mirror must not be asked now, or undefined. */
  coolingDown(mirror: string): string | undefined;
  /** What to ask the mirror with for this full name. */
  credentials(mirror: string, reference: string): Promise<RegistryAuth | undefined>;
  /** With whose credentials the mirror was last asked for this name, for a person to whom it said no. */
  credentialsInWords(mirror: string, reference: string): string;
  /** Runs `pull` when the mirror has a free slot; while it waits, others may go first, see Semaphore. */
  withSlot<T>(mirror: string, signal: AbortSignal, pull: () => Promise<T>, shouldYield?: ShouldYield): Promise<T>;
  delivered(mirror: string): void;
  failed(mirror: string, error: RegistryError): void;
}

/** News of the mirrors. */
export interface MirrorObserver {
  /** A mirror began to cool down, for the first time since it last delivered. */
  mirrorCoolsDown?(mirror: string, cooldown: Cooldown): void;
  /** A mirror that had failed delivered. */
  mirrorRecovered?(mirror: string): void;
  /** The credentials of a mirror cannot be used; it is asked without any. */
  authProblem?(mirror: string, problem: string): void;
}
