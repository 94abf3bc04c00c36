import { assert, assertEquals } from "@std/assert";
import { systemClock } from "../../../lib/support/clock.ts";

Deno.test("now is unaffected when the wall clock is set, and wallTime moves with it", () => {
  const real = Date.now;
  const before = systemClock.now();
  const told = systemClock.wallTime(before);
  try {
    const DAY_MS = 86_400_000;
    Date.now = () => real() + DAY_MS;
    assert(systemClock.now() - before < 60_000);
    assertEquals(systemClock.wallTime(before) - told, DAY_MS);
    Date.now = () => real() - DAY_MS;
    assertEquals(systemClock.wallTime(before) - told, -DAY_MS);
  } finally {
    Date.now = real;
  }
});

Deno.test("a moment always has the same wall time", () => {
  const at = systemClock.now() - 5000;
  const told = Array.from({ length: 1000 }, () => systemClock.wallTime(at));
  assertEquals(new Set(told).size, 1);
});
