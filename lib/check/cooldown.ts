// Checks the cool-downs of the mirrors, as the daemon or the registry proxy has them. Pure.

import type { MirrorState } from "../status/mirror_states.ts";
import { type Finding, warn } from "./finding.ts";

/** How to speak of the cool-downs of one program. */
export interface CooldownWords {
  /** The name of the finding, before ` of MIRROR`. */
  readonly name: string;
  /** While the mirror is cooling down, before `for another N s`. */
  readonly unused: string;
  readonly failed: string;
  /** The program, in `retries it automatically`. */
  readonly program: string;
}

/** Returns a warning for each mirror that failed; `now` is milliseconds since the epoch. */
export function checkCooldowns(mirrors: readonly MirrorState[], now: number, words: CooldownWords): Finding[] {
  const failed = mirrors.filter(({ state }) => state !== "up" && state !== "unknown");
  return failed.map(({ mirror, coolingDownUntil, because }) => {
    const seconds = coolingDownUntil === null ? 0 : Math.ceil((Date.parse(coolingDownUntil) - now) / 1000);
    const when = seconds > 0 ? `${words.unused} for another ${seconds} s` : `${words.failed}, and will be retried`;
    const remedy = `${words.program} retries it automatically; see the mirror above`;
    return warn(`${words.name} of ${mirror}`, `${when}: ${because ?? "no reason is known"}`, remedy);
  });
}
