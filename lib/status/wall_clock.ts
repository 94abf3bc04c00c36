// What people read is told by the clock on the wall, which may be set while the program runs; decisions are made by one
// that cannot. The difference is handed in.

import type { NodeState } from "./node_state.ts";

/** The state with its times as the wall clock has them, which is `skewMs` ahead of the clock they were noted by. */
export function stateOnTheWall(state: NodeState, skewMs: number): NodeState {
  const told = (time: string) => shifted(time, skewMs);
  const toldIfKnown = (time: string | null) => time === null ? null : told(time);
  return {
    ...state,
    startedAt: told(state.startedAt),
    writtenAt: told(state.writtenAt),
    lastGoodPassAt: toldIfKnown(state.lastGoodPassAt),
    containers: state.containers.map((it) => ({ ...it, nextTryAt: toldIfKnown(it.nextTryAt) })),
    mirrors: state.mirrors.map((it) => ({ ...it, restsUntil: toldIfKnown(it.restsUntil) })),
  };
}

function shifted(time: string, ms: number): string {
  return new Date(Date.parse(time) + ms).toISOString();
}
