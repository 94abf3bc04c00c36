// When a certificate expires, in words. Pure.

import { counted } from "../support/text.ts";

/** The milliseconds of a day. */
export const DAY_MS = 24 * 3600 * 1000;

/** Returns the time to expiry, such as `expires in 9 days (2026-12-02)`. */
export function expiry(notAfter: number, now: number): string {
  const days = Math.floor(Math.abs(notAfter - now) / DAY_MS);
  const span = days === 0 ? "less than a day" : counted(days, "day");
  return notAfter <= now ? `expired ${span} ago (${dateOf(notAfter)})` : `expires in ${span} (${dateOf(notAfter)})`;
}

/** Returns the date, as 2026-12-02. */
export function dateOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
