// Checks for containers that a local image cannot repair: those with imagePullPolicy Always, and
// those with a digest on an image store that cannot give a digest a second name.

import { type Pod, podName } from "../../kubelet/pods.ts";
import { effectivePolicy, type ImageContext, isRefusal, planImage } from "../../plan/plan.ts";
import { counted, several } from "../../support/text.ts";
import type { Check } from "../context.ts";
import { type Finding, ok, warn } from "../finding.ts";

/** Checks for containers that cannot be repaired. */
export const unrepairableCheck: Check = async (context) => {
  const { node } = context;
  const [list, canAliasDigest, redirected] = await Promise.all([
    context.pods(),
    context.canAliasDigest(),
    node.redirectedHosts(),
  ]);
  if (list.result !== "answered") return [];
  return checkUnrepairable(list.value.pods, { ...node, canAliasDigest, redirected });
};

/** Returns the findings for these pods. */
export function checkUnrepairable(pods: readonly Pod[], context: ImageContext): Finding[] {
  const always: Affected = { served: [], left: [] };
  const digests: Affected = { served: [], left: [] };
  for (const { pod, image, policy } of containersOf(pods)) {
    const planned = planImage(image, { ...context, canAliasDigest: undefined });
    // An image that no rule covers is pulled from its origin and needs no repair.
    if (isRefusal(planned)) continue;
    const how = context.redirected.has(planned.reference.domain) ? "served" : "left";
    if (effectivePolicy(policy, planned.reference) === "Always") always[how].push(pod);
    else if (planned.reference.digest !== undefined) digests[how].push(pod);
  }
  return [checkAlways(always), ...checkDigests(digests, context.canAliasDigest)];
}

function containersOf(pods: readonly Pod[]) {
  return pods.filter(({ ended, optedOut }) => !ended && !optedOut).flatMap((pod) =>
    pod.containers.map(({ image, imagePullPolicy }) => ({ pod: podName(pod), image, policy: imagePullPolicy }))
  );
}

/** The pods of containers of one kind: those whose pulls are led to the registry proxy, and the others. */
interface Affected {
  readonly served: string[];
  readonly left: string[];
}

const PROXY = "turn on the registry proxy (gilly-setup --proxy)";

function checkAlways(pods: Affected): Finding {
  const beyond = "cannot be repaired, since the kubelet asks the original registry even if the image is here";
  return checkLate("imagePullPolicy Always", beyond, pods, `set imagePullPolicy: IfNotPresent, or ${PROXY}`);
}

function checkDigests(pods: Affected, canAliasDigest: boolean | undefined): Finding[] {
  const name = "digests";
  if (canAliasDigest === undefined) return [];
  if (canAliasDigest) return [ok(name, "name@sha256:… can be repaired on this image store")];
  const beyond = "name@sha256:… cannot be repaired on this image store";
  return [checkLate(name, beyond, pods, `use a tag or the containerd image store, or ${PROXY}`)];
}

function checkLate(name: string, beyond: string, { served, left }: Affected, remedy: string): Finding {
  const proxied = served.length === 0
    ? ""
    : `; the registry proxy serves ${counted(served.length, "container")}: ${several([...new Set(served)])}`;
  if (left.length > 0) return warn(name, `${beyond}${proxied}; ${affected(left)}`, remedy);
  return ok(name, `${beyond}${proxied || "; no container here has it under a rule"}`);
}

function affected(pods: readonly string[]): string {
  const verb = pods.length === 1 ? "has" : "have";
  return `${counted(pods.length, "container")} here ${verb} it: ${several([...new Set(pods)])}`;
}
