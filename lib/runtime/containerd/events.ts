// containerd's events, reduced to those that may make an image wanted or absent. Pure.

import type { RuntimeEvent } from "../runtime.ts";

const TOPICS: Readonly<Record<string, RuntimeEvent>> = {
  // Also of a container of a pod: its sandbox is a task as well, and an event does not say which.
  "/tasks/start": "sandbox-started",
  "/tasks/exit": "container-died",
  "/images/delete": "image-removed",
};

/** Of events that show that a subscription is in force. */
export const OWN_TOPIC = "/gilly/listening";

/** The filters of Subscribe: any of them selects an event (containerd, filters). */
export const EVENT_FILTERS: readonly string[] = [...Object.keys(TOPICS), OWN_TOPIC].map((topic) =>
  `namespace==k8s.io,topic==${JSON.stringify(topic)}`
);

/** Returns what an event of this topic means, or undefined. */
export function eventOf(topic: string): RuntimeEvent | undefined {
  return Object.hasOwn(TOPICS, topic) ? TOPICS[topic] : undefined;
}
