import { assertEquals } from "@std/assert";
import { RetrySchedule } from "../../../lib/plan/retries.ts";
import type { RepairEnd } from "../../../lib/repair/observer.ts";
import { Repairs } from "../../../lib/repair/queue.ts";
import type { PulledImage } from "../../../lib/runtime/runtime.ts";
import { clockAt } from "../../fakes/clock.ts";
import { repairOf } from "../../fakes/repairs.ts";
import { image, MemoryRuntime, openMirrors } from "../../fakes/runtime.ts";

const job = repairOf("gcr.io/a/b:1");

function setUp(runtime: MemoryRuntime) {
  const ends: RepairEnd[] = [];
  const heard: string[] = [];
  const stop = new AbortController();
  const repairs = new Repairs({
    observer: {
      finished: (end) => {
        ends.push(end);
        heard.push(end.outcome.result);
      },
      ended: (name) => void heard.push(`${name} ended${repairs.underWay(name) ? " too early" : ""}`),
      unexpected: (error) => void heard.push(`unexpected ${error}`),
    },
    clock: clockAt(5_000),
    random: () => 0,
    signal: stop.signal,
  });
  const context = { runtime, mirrors: openMirrors(), veto: () => undefined };
  const retries = new RetrySchedule({ initialSeconds: 10, maxSeconds: 300 });
  return { repairs, start: () => repairs.start(job, context, retries), context, retries, ends, heard, stop };
}

Deno.test("a repair that is under way is not started again", async () => {
  const pulled = Promise.withResolvers<PulledImage>();
  const runtime = new MemoryRuntime({ "m.example/a/b:1": pulled.promise });
  const { repairs, start } = setUp(runtime);
  start();
  start();
  assertEquals([repairs.count, repairs.underWay(job.name)], [1, true]);
  runtime.images.set("m.example/a/b:1", image("1"));
  pulled.resolve({ digest: undefined, bytes: 1 });
  await repairs.drained();
  assertEquals([repairs.count, repairs.repaired], [0, 1]);
  assertEquals(runtime.calls.filter((call) => call.startsWith("pull")).length, 1);
});

Deno.test("the end of a repair is reported with its outcome, the previous outcome and the next try", async () => {
  const { repairs, start, ends, heard } = setUp(new MemoryRuntime());
  for (let attempt = 0; attempt < 2; attempt++) {
    start();
    await repairs.drained();
  }
  assertEquals(ends.map(({ before, seconds, nextTrySeconds }) => [before?.result, seconds, nextTrySeconds]), [
    [undefined, 0, 10],
    ["failed", 0, 20],
  ]);
  assertEquals(heard, ["failed", "gcr.io/a/b:1 ended", "failed", "gcr.io/a/b:1 ended"]);
  assertEquals(repairs.failed, 2);
});

Deno.test("an error in an observer affects neither the queue nor the next repair", async () => {
  const heard: string[] = [];
  const repairs = new Repairs({
    observer: {
      finished: () => {
        throw new Error("slip");
      },
      unexpected: (error) => void heard.push(`unexpected ${error}`),
    },
    clock: clockAt(0),
    random: () => 0,
    signal: new AbortController().signal,
  });
  const { context, retries } = setUp(new MemoryRuntime());
  repairs.start(job, context, retries);
  await repairs.drained();
  assertEquals([heard, repairs.count], [["unexpected Error: slip"], 0]);
});

Deno.test("a stop ends every repair without an outcome or an error", async () => {
  const { repairs, start, heard, stop } = setUp(new MemoryRuntime({ "m.example/a/b:1": new Promise(() => {}) }));
  start();
  stop.abort();
  await repairs.drained();
  assertEquals([heard, repairs.count], [["gcr.io/a/b:1 ended"], 0]);
});
