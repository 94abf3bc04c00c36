// The two clocks. What is decided goes by one that nobody can set; what people read goes by the clock on the wall, which
// is put right now and then while the program runs.

/** Times are milliseconds since the epoch. */
export interface Clock {
  /** Right when the program began, and steady from then on. */
  now(): number;
  /** The wall's time of a moment by `now`, this one unless another is given. */
  wallTime(at?: number): number;
}

/** The clocks of this machine. A pause of seconds must not become one of a day when the wall clock is put right. */
export const systemClock: Clock = {
  now: () => Math.round(performance.timeOrigin + performance.now()),
  wallTime(at = systemClock.now()) {
    // In whole seconds: the two clocks drift apart by less all the time, and no time that was told should move with it.
    return at + 1000 * Math.round((Date.now() - systemClock.now()) / 1000);
  },
};
