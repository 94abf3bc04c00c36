// Two clocks. Decisions use one that cannot be set; times shown to people use the wall clock, which
// may be corrected while the program runs.

/** Times are milliseconds since the epoch. */
export interface Clock {
  /** Correct when the program starts, and steady from then on. */
  now(): number;
  /** The wall-clock time at the moment `at` of `now`, the current one by default. */
  wallTime(at?: number): number;
}

/**
 * The clocks of this machine. A correction of the wall clock must not turn a pause of seconds into
 * one of a day.
 */
export const systemClock: Clock = {
  now: () => Math.round(performance.timeOrigin + performance.now()),
  wallTime(at = systemClock.now()) {
    // The offset is in whole seconds: the clocks always drift apart by less than that, and a time
    // already reported should not move with the drift.
    return at + 1000 * Math.round((Date.now() - systemClock.now()) / 1000);
  },
};
