// Checks for containers that a local image cannot repair: those with imagePullPolicy Always, and
// those with a digest on an image store that cannot give a digest a second name.

import { type Pod, podName } from "../kubelet/pods.ts";
import { effectivePolicy, type ImageContext, isRefusal, planImage } from "../plan/plan.ts";
import { counted, several } from "../support/text.ts";
import type { Check } from "./context.ts";
import { type Finding, ok, warn } from "./finding.ts";

/** Checks for containers that cannot be repaired. */
export const unrepairableCheck: Check = async (context) => {
  const [list, canAliasDigest] = await Promise.all([context.pods(), context.canAliasDigest()]);
  if (list.result !== "answered") return [];
  return checkUnrepairable(list.value.pods, { ...context.node, canAliasDigest });
};

/** Returns the findings for these pods. */
export function checkUnrepairable(pods: readonly Pod[], context: ImageContext): Finding[] {
  const always: string[] = [];
  const digests: string[] = [];
  for (const { pod, image, policy } of containersOf(pods)) {
    const planned = planImage(image, { ...context, canAliasDigest: undefined });
    // An image that no rule covers is pulled from its origin and needs no repair.
    if (isRefusal(planned)) continue;
    if (effectivePolicy(policy, planned.reference) === "Always") always.push(pod);
    else if (planned.reference.digest !== undefined) digests.push(pod);
  }
  return [checkAlways(always), ...checkDigests(digests, context.canAliasDigest)];
}

function containersOf(pods: readonly Pod[]) {
  return pods.filter(({ ended, optedOut }) => !ended && !optedOut).flatMap((pod) =>
    pod.containers.map(({ image, imagePullPolicy }) => ({ pod: podName(pod), image, policy: imagePullPolicy }))
  );
}

function checkAlways(pods: readonly string[]): Finding {
  const name = "imagePullPolicy Always";
  const beyond = "cannot be repaired, since the kubelet asks the original registry even if the image is here";
  if (pods.length === 0) return ok(name, `${beyond}; no container here has it under a rule`);
  return warn(name, `${beyond}; ${affected(pods)}`, "set imagePullPolicy: IfNotPresent");
}

function checkDigests(pods: readonly string[], canAliasDigest: boolean | undefined): Finding[] {
  const name = "digests";
  if (canAliasDigest === undefined) return [];
  if (canAliasDigest) return [ok(name, "name@sha256:… can be repaired on this image store")];
  const beyond = "name@sha256:… cannot be repaired on this image store";
  if (pods.length === 0) return [ok(name, `${beyond}; no container here has one under a rule`)];
  return [warn(name, `${beyond}; ${affected(pods)}`, "use a tag, or the containerd image store")];
}

function affected(pods: readonly string[]): string {
  const verb = pods.length === 1 ? "has" : "have";
  return `${counted(pods.length, "container")} here ${verb} it: ${several([...new Set(pods)])}`;
}
