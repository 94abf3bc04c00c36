// Pauses that grow while something keeps failing. Pure: chance is an argument.

/** The pause after so many failures in a row: `first`, doubled with each further one, and never more than `longest`. */
export function growing(first: number, longest: number, failures: number): number {
  // Beyond 2^30 nothing is shorter than any `longest`, and more would overflow.
  return Math.min(first * 2 ** Math.min(Math.max(failures - 1, 0), 30), longest);
}

/** A pause lengthened by up to `share` of itself, so that many who failed together do not come back together. */
export function scattered(pause: number, share: number, random: number): number {
  return pause * (1 + share * random);
}
