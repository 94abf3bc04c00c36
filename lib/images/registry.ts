// What a registry is asked with, and what it may answer, whoever asks it.
// Pure: shapes and words alone.

/** Credentials for one registry, as Docker's X-Registry-Auth takes them. Never logged. */
export type RegistryAuth =
  | { readonly username: string; readonly password: string }
  | { readonly identitytoken: string };

/** An image as a registry has it. */
export interface RemoteImage {
  /** Digest of the manifest or index: `sha256:…`. */
  readonly digest: string;
}

/**
 * Why a registry did not give what it was asked for.
 *
 * - `not-found`: it has no such image;
 * - `denied`: it wants credentials or other ones;
 * - `rate-limited`: it said 429 or "toomanyrequests";
 * - `registry-down`: it could not be reached, timed out, or answered 5xx;
 * - `stalled`: a pull made no progress for too long while it was the registry's turn.
 */
export const REGISTRY_FAILURES = ["not-found", "denied", "rate-limited", "registry-down", "stalled"] as const;

/** See REGISTRY_FAILURES. */
export type RegistryFailure = typeof REGISTRY_FAILURES[number];

/** A failed call that went to a registry, by way of whoever made it; kinds beside those of registries may be among it. */
export interface RegistryError extends Error {
  readonly kind: string;
  /** Seconds the registry asked us to wait, when the answer carried it. */
  readonly retryAfterSeconds: number | undefined;
}
