// What a file with a bearer token may hold. No sentence repeats any of it: libraries that are handed a token that no
// header can carry quote it in their errors.

/**
 * What is wrong with the text of a token file, to be said after its path; undefined when it is fine. A token is one word
 * of visible ASCII (RFC 6750, b64token, and what Kubernetes' own token files hold besides); white space around it does not
 * count.
 */
export function mistakeInToken(text: string): string | undefined {
  const token = text.trim();
  if (token === "") return "is empty; expected a token";
  if (token.includes("\0")) return `holds NUL characters, as UTF-16 and padding do; ${EXPECTED}`;
  if (/\s/.test(token)) return "holds more than one word; expected a token alone";
  if (/^(["']).*\1$/.test(token)) return `is in quotes; ${EXPECTED}`;
  return /^[\x21-\x7e]+$/.test(token) ? undefined : `holds characters that are not visible ASCII; ${EXPECTED}`;
}

const EXPECTED = "expected a token in ASCII, alone";

/** The token of a file in which `mistakeInToken` finds nothing. */
export function tokenIn(text: string): string {
  return text.trim();
}
