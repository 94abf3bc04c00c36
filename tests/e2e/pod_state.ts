// The state of a pod as the kubelet reports it.

import type { Pod } from "kubernetes-types/core/v1.d.ts";

/** Returns the waiting reason of a container of any kind, or undefined. */
export function waitingReason(pod: Pod, container: string): string | undefined {
  const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  const all = [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses];
  return all.find(({ name }) => name === container)?.state?.waiting?.reason;
}

/** True when the pod's phase is Running and each of its containers runs. */
export function isRunning(pod: Pod): boolean {
  const statuses = pod.status?.containerStatuses ?? [];
  return pod.status?.phase === "Running" && statuses.length === pod.spec?.containers.length &&
    statuses.every(({ state }) => state?.running !== undefined);
}
