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
  /** The platforms that it is for, as `os/architecture[/variant]`, if the client was told. */
  readonly platforms?: readonly string[];
}

/**
 * Why a registry request failed.
 *
 * - `not-found`: the registry says that it has no such image;
 * - `wrong-platform`: it has the image, but for other platforms only;
 * - `unsupported-image`: what it has under the name is not an image that the runtime can run, such
 *   as an artifact or a manifest of schema 1;
 * - `incomplete-image`: it has the manifest, but not every blob that the manifest names, or a damaged
 *   one;
 * - `denied`: it refused, whether for want of credentials, by a policy or by a quota;
 * - `rate-limited`: it answered 429 or "toomanyrequests";
 * - `registry-error`: it answered 5xx, refused in a way that fits no other kind, or did not deliver a
 *   part of an image whose manifest it had delivered;
 * - `not-a-registry`: what answered is not a registry, such as the web page of a sign-in portal;
 * - `proxy-refused`: the HTTP proxy on the way to it refused the connection;
 * - `registry-down`: it could not be reached, or the connection broke;
 * - `stalled`: a request made no progress for too long while waiting for the registry.
 */
export const REGISTRY_FAILURES = [
  "not-found",
  "wrong-platform",
  "unsupported-image",
  "incomplete-image",
  "denied",
  "rate-limited",
  "registry-error",
  "not-a-registry",
  "proxy-refused",
  "registry-down",
  "stalled",
] as const;

/** See REGISTRY_FAILURES. */
export type RegistryFailure = typeof REGISTRY_FAILURES[number];

/**
 * What a failure says something about: everything on the registry's `host`, since it was not
 * reached; the `repository` that was requested, and perhaps others near it, since what answered did
 * not serve it; or that `image` alone.
 */
export type Concern = "host" | "repository" | "image";

/** Returns the concern of a failure of this kind, which need not be a RegistryFailure. */
export function concernOf(kind: string): Concern {
  return CONCERNS[kind as RegistryFailure] ?? "image";
}

const CONCERNS: Readonly<Record<RegistryFailure, Concern>> = {
  "not-found": "image",
  "wrong-platform": "image",
  "unsupported-image": "image",
  "incomplete-image": "image",
  "denied": "image",
  "rate-limited": "repository",
  "registry-error": "repository",
  "not-a-registry": "repository",
  "proxy-refused": "host",
  "registry-down": "host",
  "stalled": "host",
};

/**
 * A failed call to a registry, as reported by the client that made it. `kind` may also be one that
 * is not a RegistryFailure.
 */
export interface RegistryError extends Error {
  readonly kind: string;
  /** Seconds that the registry asked to wait, if its answer contained them. */
  readonly retryAfterSeconds: number | undefined;
}
