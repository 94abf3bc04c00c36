// Tests lib/check/checks.ts: the order of findings, and that a check that throws fails alone.

import { assertEquals, assertStrictEquals } from "@std/assert";
import { checkNode } from "../../../lib/check/checks.ts";
import type { CheckContext } from "../../../lib/check/context.ts";
import { type Finding, ok } from "../../../lib/check/finding.ts";

function contextWith(signal: AbortSignal): CheckContext {
  const asked = () => Promise.reject(new Error("nobody is asked here"));
  return { signal, pods: asked, info: asked } as unknown as CheckContext;
}

const never = new AbortController().signal;

Deno.test("findings follow the order of the checks, and a check that throws fails alone", async () => {
  const slow = Promise.withResolvers<Finding[]>();
  const found = checkNode(contextWith(never), {
    slow: () => slow.promise,
    broken: ({ pods }) => pods().then(() => []),
    quick: () => Promise.resolve([ok("quick", "fine")]),
  });
  slow.resolve([ok("slow", "fine")]);
  assertEquals((await found).map(({ name, verdict, message }) => [name, verdict, message]), [
    ["slow", "ok", "fine"],
    ["broken", "fail", "this check itself failed: nobody is asked here"],
    ["quick", "ok", "fine"],
  ]);
});

Deno.test("a check that is stopped throws the signal's reason", async () => {
  const stop = new AbortController();
  const reason = new Error("stopped");
  stop.abort(reason);
  const checking = checkNode(contextWith(stop.signal), { any: () => Promise.reject(new Error("torn down")) });
  const stopped = await checking.catch((error) => error);
  assertStrictEquals(stopped, reason);
});
