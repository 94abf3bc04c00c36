import { assert, assertEquals } from "@std/assert";
import { soak } from "./soak.ts";

Deno.test("a daemon at full speed among faults goes on repairing, and leaves neither descriptor nor socket behind", async () => {
  const { before, during, after, faults } = await soak({ passes: 300, repairs: 30, every: 100 });
  assert(after.passes >= 300 && after.repaired >= 30, JSON.stringify(after));
  assert(faults > 0 && during.length > 0);
  assertEquals([after.descriptors, after.sockets], [before.descriptors, before.sockets]);
});
