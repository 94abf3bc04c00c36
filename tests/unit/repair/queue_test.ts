import { assertEquals } from "@std/assert";
import { parseReference } from "../../../lib/images/reference.ts";
import type { Candidate } from "../../../lib/images/rules.ts";
import type { Outcome } from "../../../lib/plan/outcome.ts";
import type { Repair } from "../../../lib/plan/plan.ts";
import { Attempts } from "../../../lib/plan/retries.ts";
import type { LedgerEntry } from "../../../lib/record/ledger.ts";
import { type Bench, Repairs } from "../../../lib/repair/queue.ts";
import type { PulledImage } from "../../../lib/runtime/runtime.ts";
import { image, MemoryRuntime, openDesk } from "../../fakes/runtime.ts";

const candidate: Candidate = { mirror: "m.example", repository: "m.example/a/b", reference: "m.example/a/b:1" };
const job: Repair = {
  name: "gcr.io/a/b:1",
  image: "gcr.io/a/b:1",
  reference: parseReference("gcr.io/a/b:1"),
  rule: { origin: "gcr.io", mirrors: ["m.example"] },
  candidates: [candidate],
  failures: [],
};

function setUp(runtime: MemoryRuntime, ledgerFails = false) {
  const entries: LedgerEntry[] = [];
  const heard: string[] = [];
  const stop = new AbortController();
  const ignore = () => {};
  const repairs = new Repairs({
    listener: {
      started: ignore,
      pulling: ignore,
      candidateFailed: ignore,
      tagged: ignore,
      finished: (_repair: Repair, outcome: Outcome) => void heard.push(outcome.result),
      ledgerFailed: () => void heard.push("ledger failed"),
      unexpected: (error: unknown) => void heard.push(`unexpected ${error}`),
    },
    now: () => 5_000,
    random: () => 0,
    signal: stop.signal,
  });
  const bench: Bench = {
    tools: {
      runtime,
      mirrors: openDesk(),
      listener: { started: ignore, pulling: ignore, candidateFailed: ignore, tagged: ignore },
    },
    attempts: new Attempts({ initialSeconds: 10, maxSeconds: 300 }),
    ledger: {
      append: (entry) => {
        entries.push(entry);
        return ledgerFails ? Promise.reject(new Error("disk full")) : Promise.resolve();
      },
    },
  };
  return { repairs, bench, entries, heard, stop };
}

Deno.test("a repair that is under way is not begun a second time", async () => {
  const pulled = Promise.withResolvers<PulledImage>();
  const runtime = new MemoryRuntime({ "m.example/a/b:1": pulled.promise });
  const { repairs, bench } = setUp(runtime);
  repairs.start(job, bench);
  repairs.start(job, bench);
  assertEquals([repairs.count, repairs.underWay(job.name)], [1, true]);
  runtime.images.set("m.example/a/b:1", image("1"));
  pulled.resolve({ digest: undefined, bytes: 1 });
  await repairs.drained();
  assertEquals([repairs.count, repairs.repaired], [0, 1]);
  assertEquals(runtime.calls.filter((call) => call.startsWith("pull")).length, 1);
});

Deno.test("the end of a repair is one ledger line that names image, mirror, candidate and id", async () => {
  const runtime = new MemoryRuntime({ "m.example/a/b:1": { image: image("1"), digest: "sha256:d" } });
  const { repairs, bench, entries } = setUp(runtime);
  repairs.start(job, bench);
  await repairs.drained();
  assertEquals(entries, [{
    time: "1970-01-01T00:00:05.000Z",
    result: "repaired",
    image: "gcr.io/a/b:1",
    reference: "gcr.io/a/b:1",
    pods: [],
    askedBy: "the keep list",
    seconds: 0,
    mirror: "m.example",
    candidate: "m.example/a/b:1",
    tagged: "gcr.io/a/b:1",
    id: "sha256:1",
    digest: "sha256:d",
    bytes: 10,
  }]);
});

Deno.test("an image that stays missing is one ledger line, not one a try", async () => {
  const { repairs, bench, entries, heard } = setUp(new MemoryRuntime());
  for (let attempt = 0; attempt < 3; attempt++) {
    repairs.start(job, bench);
    await repairs.drained();
  }
  assertEquals([entries.length, heard, repairs.failed], [1, ["failed", "failed", "failed"], 3]);
  assertEquals(entries[0]?.reason, "not-in-mirror");
});

Deno.test("a ledger that cannot be written costs a warning, not the repair", async () => {
  const runtime = new MemoryRuntime({ "m.example/a/b:1": { image: image("1") } });
  const { repairs, bench, heard } = setUp(runtime, true);
  repairs.start(job, bench);
  await repairs.drained();
  assertEquals([heard, repairs.repaired], [["repaired", "ledger failed"], 1]);
});

Deno.test("a stop ends every repair without an outcome or a complaint", async () => {
  const { repairs, bench, heard, entries, stop } = setUp(
    new MemoryRuntime({ "m.example/a/b:1": new Promise(() => {}) }),
  );
  repairs.start(job, bench);
  stop.abort();
  await repairs.drained();
  assertEquals([heard, entries, repairs.count], [[], [], 0]);
});

Deno.test("what was refused is written down beside the passes, and waited for at the end", async () => {
  const { repairs, bench, entries } = setUp(new MemoryRuntime());
  const refused: LedgerEntry = { time: "", result: "unrepairable", image: "x", pods: ["a/b"], reason: "no-rule" };
  const slow = Promise.withResolvers<void>();
  repairs.record([refused], { append: (entry) => slow.promise.then(() => bench.ledger.append(entry)) });
  assertEquals([entries.length, repairs.count], [0, 0]);
  slow.resolve();
  await repairs.drained();
  assertEquals(entries, [refused]);
});
