// The mirrors of a config and whether they are cooling down, as plain values for other processes.
// Pure.

import type { Cooldown } from "../mirrors/cooldown.ts";
import type { Silence } from "../runtime/advice.ts";

/**
 * A mirror of the rules. After a failure it stays failed until it delivers; while it is cooling
 * down it is not tried. A mirror that did not fail is `unknown` while the runtime, which does the
 * pulling, does not answer.
 */
export interface MirrorState {
  /** `host[:port]`, or `host[:port]/path` of a rule if that path alone failed. */
  readonly mirror: string;
  readonly state: "up" | "cooling-down" | "failed" | "unknown";
  readonly coolingDownUntil: string | null;
  readonly because: string | null;
}

/** What they are made from. Times are milliseconds since the epoch, by the clock used for decisions. */
export interface MirrorFacts {
  readonly now: number;
  /** Converts a time to the wall clock, which states use. */
  readonly toWallTime: (at: number) => number;
  /** The hosts of the mirrors of the current config, each once. */
  readonly mirrors: readonly string[];
  /**
   * Every host, and every path at one (`host[:port]/path`), that failed and has not delivered since.
   */
  readonly cooldowns: ReadonlyMap<string, Cooldown>;
}

/** Reports whether the state is of a complete mirror, and not of one path at it. */
export function isHost({ mirror }: Pick<MirrorState, "mirror">): boolean {
  return !mirror.includes("/");
}

/**
 * Returns the states of the mirrors, each followed by its paths that failed; `silence` is set while
 * the runtime does not answer.
 */
export function mirrorStates(facts: MirrorFacts, silence: Silence | undefined): MirrorState[] {
  const { mirrors, cooldowns, now } = facts;
  const pathsOf = (host: string) => [...cooldowns.keys()].filter((it) => it.startsWith(`${host}/`));
  return mirrors.flatMap((host) => [host, ...pathsOf(host)]).map((mirror) => {
    const cooldown = cooldowns.get(mirror);
    if (cooldown === undefined) {
      return silence === undefined ? { mirror, state: "up", coolingDownUntil: null, because: null } : {
        mirror,
        state: "unknown",
        coolingDownUntil: null,
        because: `not used while ${silence.runtime.called} does not answer`,
      };
    }
    const state = now < cooldown.until ? "cooling-down" : "failed";
    return { mirror, state, coolingDownUntil: isoText(cooldown.until, facts), because: cooldown.because };
  });
}

/** Returns the wall time as ISO 8601. */
export function isoText(at: number, { toWallTime }: Pick<MirrorFacts, "toWallTime">): string {
  return new Date(toWallTime(at)).toISOString();
}
