// What a repair knows of mirrors, and what it hears of them. The pool beside it is what stands behind.

import type { RegistryAuth, RegistryError } from "../images/registry.ts";
import type { Yields } from "../support/semaphore.ts";
import type { Rest } from "./cooldown.ts";

/** The mirror's side of a repair: may it be asked, with which credentials, and what it answered. */
export interface Mirrors {
  /** Why the mirror must not be asked now, or undefined. */
  resting(mirror: string): string | undefined;
  /** What to ask the mirror with for this full name. */
  credentials(mirror: string, reference: string): Promise<RegistryAuth | undefined>;
  /** With whose credentials the mirror was last asked for this name, for a person to whom it said no. */
  credentialsInWords(mirror: string, reference: string): string;
  /** Runs `pull` when the mirror has a free place; while it waits, others may go first, see Places. */
  withPlace<T>(mirror: string, signal: AbortSignal, pull: () => Promise<T>, yields?: Yields): Promise<T>;
  delivered(mirror: string): void;
  failed(mirror: string, error: RegistryError): void;
}

/** News of the mirrors. */
export interface MirrorObserver {
  /** A mirror went to rest for the first time since it last delivered. */
  mirrorRests?(mirror: string, rest: Rest): void;
  /** A mirror that had failed delivered. */
  mirrorWakes?(mirror: string): void;
  /** The credentials of a mirror cannot be used; it is asked without any. */
  authProblem?(mirror: string, problem: string): void;
}
