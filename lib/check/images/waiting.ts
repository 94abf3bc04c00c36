// Checks which images the pods wait for now, and whether they can be repaired.

import { scanPods } from "../../kubelet/failures.ts";
import { podName } from "../../kubelet/pods.ts";
import { look } from "../../pass.ts";
import type { UnrepairableReason } from "../../plan/outcome.ts";
import { counted, several } from "../../support/text.ts";
import type { Check } from "../context.ts";
import { type Finding, ok, warn } from "../finding.ts";

/** Checks the waiting pods. */
export const waitingCheck: Check = async (context) => {
  const { node, process: { clock, memory } } = context;
  const [list, canAliasDigest, redirected] = await Promise.all([
    context.pods(),
    context.canAliasDigest(),
    node.redirectedHosts(),
  ]);
  if (list.result !== "answered") return [];
  const scan = scanPods(list.value.pods);
  const moment = { now: clock.now(), canAliasDigest, redirected, underWay: () => false };
  const { skips } = look(scan, node, memory, moment);
  const leftAlone = skips.map(({ failure: { pod }, reason, advice }) => ({ pod: podName(pod), reason, advice }));
  return [checkWaiting(list.value.pods.length, scan.failures.length, leftAlone)];
};

/** A container that the plan skips. */
export interface LeftAlone {
  /** `namespace/name` of its pod. */
  readonly pod: string;
  readonly reason: UnrepairableReason;
  readonly advice: string;
}

/** Returns the finding on whether the waiting pods can be repaired. */
export function checkWaiting(pods: number, waiting: number, leftAlone: readonly LeftAlone[]): Finding {
  const name = "waiting pods";
  if (waiting === 0) return ok(name, `no container of ${counted(pods, "pod")} waits for an image`);
  const subject = `${counted(waiting, "container")} of ${counted(pods, "pod")} ${waiting === 1 ? "waits" : "wait"}`;
  // An excluded image is the operator's choice, so it is not a warning.
  const lost = leftAlone.filter(({ reason }) => reason !== "excluded");
  const excluded = leftAlone.length - lost.length;
  const message = `${subject} for an image${excluded > 0 ? `, ${excluded} of them excluded` : ""}`;
  if (lost.length === 0) return ok(name, `${message}; the daemon repairs what is not excluded`);
  const reasons = new Set(lost.map(({ reason }) => reason));
  const advice = reasons.size === 1 ? lost[0]!.advice : "gilly once --dry-run says what to do about each";
  const which = several([...new Set(lost.map(({ pod, reason }) => `${pod} (${reason})`))]);
  return warn(name, `${message}; cannot be repaired: ${which}`, advice);
}
