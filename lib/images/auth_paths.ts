// Decides which of a mirror's paths are requested with its credentials. Without a limit, anyone who
// may create a pod can name any path on the mirror, and Gilly pulls it with those credentials:
// imagePullSecrets are never consulted. Pure: settings and a name in, yes or no out.

import { compileExclusions, mistakeInImagePattern } from "./exclusions.ts";
import { referenceOrUndefined } from "./reference.ts";

/** The credential settings of a mirror. */
export interface AuthSettings {
  /** Path of a file of credentials in the format of Docker's config.json. It need not exist yet. */
  readonly authFile?: string;
  /** Patterns of paths below the mirror's host, as in `exclude.images`; every path if omitted. */
  readonly authPaths?: readonly string[];
}

/**
 * Returns what is wrong with a pattern of paths below a mirror's host, as one sentence, or
 * undefined if it is valid.
 */
export function mistakeInAuthPath(pattern: string): string | undefined {
  if (pattern === "" || pattern.startsWith("/")) return "expected a path below the mirror's host, such as proxy/**";
  return mistakeInImagePattern(`mirror.example/${pattern}`);
}

/**
 * Reports whether this image is requested from the mirror with the credentials of its authFile.
 * `reference` is the full name at the mirror. Throws TypeError if a pattern is malformed; the
 * config has already refused those.
 */
export function usesCredentials(mirror: string, settings: AuthSettings | undefined, reference: string): boolean {
  if (settings?.authFile === undefined) return false;
  if (settings.authPaths === undefined) return true;
  const images = settings.authPaths.map((pattern) => `${mirror}/${pattern}`);
  const parsed = referenceOrUndefined(reference);
  return parsed !== undefined && compileExclusions({ images, namespaces: [] }).image(parsed) !== undefined;
}

/** Says why this image is requested from a mirror without the mirror's authFile. */
export function outsideInWords(mirror: string, reference: string): string {
  const path = referenceOrUndefined(reference)?.path ?? reference;
  return `${path} is outside mirrors."${mirror}".authPaths`;
}
