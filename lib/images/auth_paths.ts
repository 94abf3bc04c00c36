// Which of a mirror's paths are asked with its credentials. Without bounds whoever may create a pod can name any path
// of the mirror, and Gilly pulls it with them: imagePullSecrets are never asked for.
// Pure: settings and a name in, yes or no out.

import { compileExclusions, mistakeInImagePattern } from "./exclusions.ts";
import { referenceOrUndefined } from "./reference.ts";

/** What a mirror's settings say of credentials. */
export interface AuthSettings {
  /** Path of credentials in the format of Docker's config.json. It need not exist yet. */
  readonly authFile?: string;
  /** Patterns of paths below the mirror's host, as of `exclude.images`; every path when left out. */
  readonly authPaths?: readonly string[];
}

/** What is wrong with a pattern of paths below a mirror's host, as one sentence; undefined when it is fine. */
export function mistakeInAuthPath(pattern: string): string | undefined {
  if (pattern === "" || pattern.startsWith("/")) return "expected a path below the mirror's host, such as proxy/**";
  return mistakeInImagePattern(`mirror.example/${pattern}`);
}

/**
 * Whether a mirror is asked for this image with the credentials of its authFile; `reference` is the full name at the
 * mirror. Throws TypeError if a pattern is malformed, which the config has refused already.
 */
export function usesCredentials(mirror: string, settings: AuthSettings | undefined, reference: string): boolean {
  if (settings?.authFile === undefined) return false;
  if (settings.authPaths === undefined) return true;
  const images = settings.authPaths.map((pattern) => `${mirror}/${pattern}`);
  const parsed = referenceOrUndefined(reference);
  return parsed !== undefined && compileExclusions({ images, namespaces: [] }).image(parsed) !== undefined;
}

/** Why a mirror with an authFile is asked for this image without it. */
export function outsideInWords(mirror: string, reference: string): string {
  const path = referenceOrUndefined(reference)?.path ?? reference;
  return `${path} is outside mirrors."${mirror}".authPaths`;
}
