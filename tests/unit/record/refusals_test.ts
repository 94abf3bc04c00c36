import { assertEquals } from "@std/assert";
import type { UnrepairableReason } from "../../../lib/plan/outcome.ts";
import type { Skip } from "../../../lib/plan/plan.ts";
import { Refusals } from "../../../lib/record/refusals.ts";

const HOUR = 3600 * 1000;

function skip(pod: string, image: string, reason: UnrepairableReason = "no-rule"): Skip {
  const [namespace = "", name = ""] = pod.split("/");
  const failure = {
    pod: { namespace, name, uid: `uid of ${pod}`, phase: "Pending" },
    container: "app",
    kind: "regular" as const,
    image,
    imagePullPolicy: undefined,
    reason: "ImagePullBackOff",
    message: "",
    optedOut: false,
  };
  return { failure, reason, advice: `what to do about ${reason}` };
}

Deno.test("a refusal is one entry that names pod, image, reason and advice", () => {
  assertEquals(new Refusals().fresh([skip("default/a", "ghcr.io/x:1")], 5000), [{
    time: "1970-01-01T00:00:05.000Z",
    result: "unrepairable",
    image: "ghcr.io/x:1",
    pods: ["default/a"],
    reason: "no-rule",
    advice: "what to do about no-rule",
  }]);
});

Deno.test("the next pass writes nothing, and a second container of the same pod and image adds nothing", () => {
  const refusals = new Refusals();
  const skips = [skip("default/a", "x:1"), skip("default/a", "x:1")];
  assertEquals(refusals.fresh(skips, 0).map(({ pods }) => pods), [["default/a"]]);
  assertEquals(refusals.fresh(skips, 5000), []);
});

Deno.test("pods that need one image are one entry, and a later pod is another", () => {
  const refusals = new Refusals();
  const first = [skip("default/a", "x:1"), skip("default/b", "x:1"), skip("default/c", "y:1")];
  assertEquals(refusals.fresh(first, 0).map(({ pods }) => pods), [["default/a", "default/b"], ["default/c"]]);
  assertEquals(refusals.fresh([...first, skip("default/d", "x:1")], 1).map(({ pods }) => pods), [["default/d"]]);
});

Deno.test("another reason is a new entry", () => {
  const refusals = new Refusals();
  refusals.fresh([skip("default/a", "x:1", "no-rule")], 0);
  assertEquals(refusals.fresh([skip("default/a", "x:1", "excluded")], 1).map(({ reason }) => reason), ["excluded"]);
});

Deno.test("a refusal that lasts is one entry a day", () => {
  const refusals = new Refusals();
  const hours = Array.from({ length: 72 }, (_, hour) => refusals.fresh([skip("default/a", "x:1")], hour * HOUR).length);
  assertEquals(hours.flatMap((count, hour) => count > 0 ? [hour] : []), [0, 24, 48]);
});

Deno.test("a refusal that is in the ledger is not written again after a restart", () => {
  const before = new Refusals().fresh([skip("default/a", "x:1"), skip("default/b", "x:1")], 0);
  const refusals = new Refusals();
  for (const entry of before) refusals.learn(entry);
  refusals.learn({ ...before[0]!, result: "repaired", pods: ["default/c"] });
  refusals.learn({ ...before[0]!, time: "nonsense", pods: ["default/c"] });
  const skips = ["a", "b", "c"].map((name) => skip(`default/${name}`, "x:1"));
  assertEquals(refusals.fresh(skips, HOUR).map(({ pods }) => pods), [["default/c"]]);
});

Deno.test("more refusals than the usual limit are still written once while they last", () => {
  const refusals = new Refusals();
  const skips = Array.from({ length: 12_000 }, (_, index) => skip(`default/p-${index}`, "x:1"));
  assertEquals(refusals.fresh(skips, 0)[0]?.pods.length, 12_000);
  assertEquals(refusals.fresh(skips, 5000), []);
});
