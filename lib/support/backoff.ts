// Pauses that grow while something keeps failing. Pure: the random number is an argument.

/**
 * The pause after a number of failures in a row: `first`, doubled with each further failure, up to
 * `longest`.
 */
export function growing(first: number, longest: number, failures: number): number {
  // Beyond 2^30 the pause exceeds any `longest`, and a larger exponent would overflow.
  return Math.min(first * 2 ** Math.min(Math.max(failures - 1, 0), 30), longest);
}

/**
 * Lengthens a pause by up to `share` of itself, so that clients that failed together do not retry
 * together. `random` is from 0 to 1.
 */
export function scattered(pause: number, share: number, random: number): number {
  return pause * (1 + share * random);
}
