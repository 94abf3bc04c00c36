import { assertEquals } from "@std/assert";
import { type Failure, scanPods } from "../../../lib/kubelet/failures.ts";
import { readPodList } from "../../../lib/kubelet/pods.ts";
import type { Outcome } from "../../../lib/plan/outcome.ts";
import type { Plan, Skip } from "../../../lib/plan/plan.ts";
import type { LedgerEntry } from "../../../lib/record/entry.ts";
import { Provenance } from "../../../lib/record/provenance.ts";
import { Recorder } from "../../../lib/record/recorder.ts";
import { Refusals } from "../../../lib/record/refusals.ts";
import { clockAt } from "../../fakes/clock.ts";
import { listOf, waitingPod } from "../../fakes/pods.ts";
import { repairOf } from "../../fakes/repairs.ts";

const CANDIDATE = {
  mirror: "m.example",
  location: "m.example",
  repository: "m.example/a/b",
  reference: "m.example/a/b:1",
};
const repair = repairOf("gcr.io/a/b:1");
const repaired: Outcome = {
  ...{ result: "repaired", candidate: CANDIDATE, tagged: "gcr.io/a/b:1", id: "sha256:1", digest: "sha256:d" },
  ...{ bytes: 10, attempts: [] },
};
const missing: Outcome = { result: "failed", reason: "not-in-mirror", message: "nowhere", attempts: [] };
const present: Outcome = { result: "already-present", id: "sha256:1" };

function failureOf(image: string, reason: string): Failure {
  const { failures, creating } = scanPods(readPodList(listOf(waitingPod("app", image, { reason }))).pods);
  return [...failures, ...creating][0]!;
}

function scene(append?: (entry: LedgerEntry) => Promise<void>) {
  const entries: LedgerEntry[] = [];
  const heard: unknown[] = [];
  const known = { provenance: new Provenance(), refusals: new Refusals() };
  const recorder = new Recorder({
    observer: { ledgerFailed: (error) => void heard.push(error) },
    clock: clockAt(2_000, 3_000),
    memory: known,
    askedBy: "the keep list",
  });
  const ledger = { append: append ?? ((entry) => Promise.resolve(void entries.push(entry))) };
  recorder.follow(ledger);
  const looked = (...skips: Skip[]) => recorder.looked({} as never, [], { skips } as unknown as Plan);
  return { recorder, known, entries, heard, looked };
}

Deno.test("a finished repair is one line with image, mirror, candidate and ID, and is learned", async () => {
  const { recorder, known, entries } = scene();
  recorder.finished({ repair, outcome: repaired, seconds: 2 });
  await recorder.settled();
  assertEquals(entries, [{
    time: "1970-01-01T00:00:05.000Z",
    result: "repaired",
    image: "gcr.io/a/b:1",
    reference: "gcr.io/a/b:1",
    pods: [],
    askedBy: "the keep list",
    seconds: 2,
    mirror: "m.example",
    candidate: "m.example/a/b:1",
    tagged: "gcr.io/a/b:1",
    id: "sha256:1",
    digest: "sha256:d",
    bytes: 10,
  }]);
  const other = { reference: "gcr.io/a/b:1", candidate: "m.example/a/b:1", digest: "sha256:e" };
  assertEquals(known.provenance.anomalies(other).map(({ kind }) => kind), ["digest-changed"]);
});

const waiting = failureOf("gcr.io/a/b:1", "ImagePullBackOff");
const creating = failureOf("gcr.io/a/b:1", "ContainerCreating");

/**
 * The failures that caused the repair, its outcome, the outcome before, and whether that is a line.
 */
const ENDS: readonly (readonly [string, readonly Failure[], Outcome, Outcome | undefined, boolean])[] = [
  ["an image that is found missing", [waiting], missing, undefined, true],
  ["an image that stays missing", [waiting], missing, missing, false],
  ["an image that is missing and then denied", [waiting], { ...missing, reason: "denied" }, missing, true],
  ["an image that was already present", [waiting], present, undefined, true],
  ["a name that stays present", [waiting], present, present, false],
  ["an image that is present before its container fails", [creating], present, undefined, false],
  ["a present image that no pod waits for", [], present, undefined, false],
  ["an eager repair", [creating], repaired, undefined, true],
];

for (const [what, failures, outcome, before, isLine] of ENDS) {
  Deno.test(`${what} is ${isLine ? "one line" : "no line"}`, async () => {
    const { recorder, entries } = scene();
    recorder.finished({ repair: { ...repair, failures }, outcome, before, seconds: 0 });
    await recorder.settled();
    assertEquals(entries.length, isLine ? 1 : 0);
  });
}

Deno.test("a refusal is written at the first pass that finds it, and settled waits for it", async () => {
  const entries: LedgerEntry[] = [];
  const slow = Promise.withResolvers<void>();
  const { recorder, looked } = scene((entry) => slow.promise.then(() => void entries.push(entry)));
  const skip: Skip = { failure: failureOf("docker.io/x:1", "ErrImagePull"), reason: "no-rule", advice: "add a rule" };
  looked(skip);
  looked(skip);
  assertEquals(entries, []);
  slow.resolve();
  await recorder.settled();
  assertEquals(entries.map(({ result, image, reason }) => [result, image, reason]), [
    ["unrepairable", "docker.io/x:1", "no-rule"],
  ]);
});

Deno.test("a failed write to the ledger is reported, and later lines are still written", async () => {
  let tries = 0;
  const { recorder, heard } = scene(() => ++tries === 1 ? Promise.reject("disk full") : Promise.resolve());
  recorder.finished({ repair, outcome: repaired, seconds: 0 });
  recorder.finished({ repair, outcome: repaired, seconds: 0 });
  await recorder.settled();
  assertEquals([heard, tries], [["disk full"], 2]);
});

Deno.test("without a ledger nothing is written or waited for", async () => {
  const memory = { provenance: new Provenance(), refusals: new Refusals() };
  const recorder = new Recorder({ observer: {}, clock: clockAt(0), memory, askedBy: "nobody" });
  recorder.looked({} as never, [], { skips: [{}] } as never);
  recorder.finished({ repair, outcome: repaired, seconds: 0 });
  await recorder.settled();
});
