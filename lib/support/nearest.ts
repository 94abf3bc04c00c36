// The word that somebody meant: the known one next to what was written.

import { levenshteinDistance } from "@std/text/levenshtein-distance";

/** Nothing longer is a slip of the pen, and the distance of two texts takes the time of the product of their lengths. */
const LONGEST_SLIP = 300;

/** The known word nearest to `written`, capitals, hyphens and underscores aside; undefined when none is near. */
export function nearestWord(written: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.slice(0, LONGEST_SLIP).toLowerCase().replace(/[-_]/g, "");
  const distances = known.map((word) => ({ word, distance: levenshteinDistance(plain(written), plain(word)) }));
  const best = distances.sort((left, right) => left.distance - right.distance)[0];
  return best !== undefined && best.distance <= Math.max(2, best.word.length / 3) ? best.word : undefined;
}
