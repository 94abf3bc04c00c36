// Puts a mirror's refusal into words. Pure.

import type { RegistryError } from "../images/registry.ts";
import type { Candidate } from "../images/rules.ts";
import { describeError } from "../support/errors.ts";
import type { Mirrors } from "./mirrors.ts";

/** Words by which a registry, or a runtime in its place, speaks of credentials and of nothing else. */
const ABOUT_CREDENTIALS =
  /unauthorized|authentication required|no basic auth|\b401\b|incorrect username|insufficient_scope/i;

/** Whether the text of a refusal leaves no doubt that credentials are missing or wrong. */
export function isAboutCredentials(text: string): boolean {
  return ABOUT_CREDENTIALS.test(text);
}

/**
 * Adds to the text of a refusal with which credentials the mirror was asked (`asked`, see
 * Mirrors.credentialsInWords). A registry also refuses by a policy or a quota, or because its own
 * upstream refuses it, so credentials are named as the cause only where the text does.
 */
export function denialText(text: string, asked: string): string {
  return `${text}; ${isAboutCredentials(text) ? "" : "if it is about credentials: "}${asked}`;
}

/** The text of a candidate's failure; that of a refusal says with which credentials it was asked. */
export function failureInWords(
  { mirror, reference }: Candidate,
  error: RegistryError,
  mirrors: Pick<Mirrors, "credentialsInWords">,
): string {
  const text = describeError(error);
  return error.kind === "denied" ? denialText(text, mirrors.credentialsInWords(mirror, reference)) : text;
}
