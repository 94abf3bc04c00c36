// Amounts as people read them: sizes, durations, and times in this host's time zone.

/** A size in decimal units, as Docker prints it: `512 B`, `12.3 MB`, `1.2 GB`. */
export function sizeText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [amount, unit] = [bytes, 0];
  // 999.95 is the first amount that would be printed as 1000.0.
  while (amount >= (unit === 0 ? 1000 : 999.95) && unit < units.length - 1) [amount, unit] = [amount / 1000, unit + 1];
  return `${unit === 0 ? amount : amount.toFixed(1)} ${units[unit]}`;
}

/**
 * A duration for use in a sentence: `3 s`, `4 min`, `5 h`, `6 days`. A negative one reads `0 s`.
 */
export function spanText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 2 * 3600) return `${Math.round(whole / 60)} min`;
  if (whole < 48 * 3600) return `${Math.round(whole / 3600)} h`;
  return `${Math.round(whole / 86_400)} days`;
}

/** An elapsed time: `0.4 s`, `12.3 s`, `4 min 5 s`. */
export function tookText(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/**
 * Returns a time such as `2026-11-01 01:11:53` in this host's time zone, or the text unchanged if
 * it is not a valid time.
 */
export function localTime(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  const two = (part: number) => String(part).padStart(2, "0");
  const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${date} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}
