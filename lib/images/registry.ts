// What is sent to a registry and what it may answer, whichever client is used. Pure: only types and
// constants.

/** Credentials for one registry, in the format of Docker's X-Registry-Auth. Never logged. */
export type RegistryAuth =
  | { readonly username: string; readonly password: string }
  | { readonly identitytoken: string };

/** An image as the registry describes it. */
export interface RemoteImage {
  /** Digest of the manifest or index: `sha256:…`. */
  readonly digest: string;
}

/**
 * Why a registry request failed.
 *
 * - `not-found`: the registry has no such image;
 * - `denied`: it requires credentials, or different ones;
 * - `rate-limited`: it answered 429 or "toomanyrequests";
 * - `registry-down`: it could not be reached, timed out, or answered 5xx;
 * - `stalled`: a pull made no progress for too long while waiting for the registry.
 */
export const REGISTRY_FAILURES = ["not-found", "denied", "rate-limited", "registry-down", "stalled"] as const;

/** See REGISTRY_FAILURES. */
export type RegistryFailure = typeof REGISTRY_FAILURES[number];

/**
 * A failed call to a registry, as reported by the client that made it. `kind` may also be one that
 * is not a RegistryFailure.
 */
export interface RegistryError extends Error {
  readonly kind: string;
  /** Seconds that the registry asked to wait, if its answer contained them. */
  readonly retryAfterSeconds: number | undefined;
}
