// A clock for tests that stands still.

import type { Clock } from "../../lib/support/clock.ts";

/** Returns a clock that stands still at `now`; its wall time is `wallAhead` milliseconds later. */
export function clockAt(now: number, wallAhead = 0): Clock {
  return { now: () => now, wallTime: (at = now) => at + wallAhead };
}
