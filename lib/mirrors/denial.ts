// Puts a mirror's refusal into words. Pure.

/** Texts that leave no doubt that credentials are missing or wrong. */
const ABOUT_CREDENTIALS = /unauthorized|no basic auth credentials|authentication required|incorrect username|\b401\b/i;

/**
 * Adds to the text of a refusal with which credentials the mirror was asked (`asked`, see
 * Mirrors.credentialsInWords). A registry also refuses by a policy or a quota, or because its own
 * upstream refuses it, so credentials are named as the cause only where the text does.
 */
export function denialText(text: string, asked: string): string {
  return `${text}; ${ABOUT_CREDENTIALS.test(text) ? "" : "if it is about credentials: "}${asked}`;
}
