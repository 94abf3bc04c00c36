import { assertEquals } from "@std/assert";
import type { NodeState } from "../../../lib/status/node_state.ts";
import { stateOnTheWall } from "../../../lib/status/wall_clock.ts";

const DAY_MS = 86_400_000;

Deno.test("every time in a state moves with the clock on the wall, and what is not known stays so", () => {
  const at = (day: number) => `2020-05-${day}T01:11:53.250Z`;
  const stateAt = (day: number) => ({
    version: 1 as const,
    startedAt: at(day),
    writtenAt: at(day),
    lastGoodPassAt: at(day),
    containers: [{ pod: "a", nextTryAt: at(day) }, { pod: "b", nextTryAt: null }],
    mirrors: [{ mirror: "m", restsUntil: at(day) }, { mirror: "n", restsUntil: null }],
  } as unknown as NodeState);
  assertEquals(stateOnTheWall(stateAt(16), -DAY_MS), stateAt(15));
  assertEquals(stateOnTheWall(stateAt(16), 2 * DAY_MS), stateAt(18));
  const never = { ...stateAt(16), lastGoodPassAt: null };
  assertEquals(stateOnTheWall(never, DAY_MS).lastGoodPassAt, null);
});
