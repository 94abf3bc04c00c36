// What a bearer token file may contain. No sentence quotes the token: libraries given a token that
// a header cannot carry quote it in their errors.

/**
 * Returns what is wrong with the text of a token file, worded to follow the file's path, or
 * undefined if it is valid. A token is one word of visible ASCII (RFC 6750, b64token, and what else
 * Kubernetes' own token files contain); white space around it is ignored.
 */
export function mistakeInToken(text: string): string | undefined {
  const token = text.trim();
  if (token === "") return "is empty; expected a token";
  if (token.includes("\0")) return `contains NUL characters, as UTF-16 and padding do; ${EXPECTED}`;
  if (/\s/.test(token)) return "contains more than one word; expected only a token";
  if (/^(["']).*\1$/.test(token)) return `is in quotes; ${EXPECTED}`;
  return /^[\x21-\x7e]+$/.test(token) ? undefined : `contains characters that are not visible ASCII; ${EXPECTED}`;
}

const EXPECTED = "expected only a token, in ASCII";

/** Returns the token from a text in which `mistakeInToken` finds nothing. */
export function tokenIn(text: string): string {
  return text.trim();
}
