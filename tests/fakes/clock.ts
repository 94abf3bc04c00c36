// Clocks for tests: they stand still, or show what they are told.

import type { Clock } from "../../lib/support/clock.ts";

/** A clock that stands at this time, on the wall too unless another is given there. */
export function clockAt(now: number, wallAhead = 0): Clock {
  return { now: () => now, wallTime: (at = now) => at + wallAhead };
}
