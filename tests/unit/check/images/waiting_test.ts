// Tests lib/check/images/waiting.ts: which waiting pods are worth a warning.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkWaiting, waitingCheck } from "../../../../lib/check/images/waiting.ts";
import { checkContext } from "../../../fakes/check_context.ts";
import { waitingPod } from "../../../fakes/pods.ts";

Deno.test("waiting pods are a warning only if one of them is neither excluded nor repairable", () => {
  const left = (reason: "excluded" | "no-rule", podName: string) => ({ pod: podName, reason, advice: `do ${reason}` });
  assertEquals(checkWaiting(3, 0, []).verdict, "ok");
  assertEquals(checkWaiting(3, 2, [left("excluded", "a/b")]).verdict, "ok");
  const lost = checkWaiting(3, 2, [left("excluded", "a/b"), left("no-rule", "a/c"), left("no-rule", "a/c")]);
  assertEquals([lost.verdict, lost.remedy], ["warn", "do no-rule"]);
  assertStringIncludes(lost.message, "1 of them excluded; cannot be repaired: a/c (no-rule)");
});

Deno.test("a waiting pod that the registry proxy can serve gets no advice to install it", async () => {
  const pod = waitingPod("always", "gcr.io/a/b:1", { imagePullPolicy: "Always" });
  const advice = async (redirected: ReadonlySet<string>) => {
    const [finding] = await waitingCheck(checkContext({ pods: [pod], redirected }));
    return finding?.remedy;
  };
  assertStringIncludes(await advice(new Set()) ?? "", "gilly-setup --proxy");
  assertEquals(
    await advice(new Set(["gcr.io"])),
    "pulls of gcr.io are led to the registry proxy, which can serve it: journalctl -u gilly-proxy says what it did",
  );
});
