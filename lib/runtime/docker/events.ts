// The Engine's event stream, reduced to events that may make an image wanted or absent.

import type { RuntimeEvent } from "../runtime.ts";

/** The `filters` of GET /events (moby, api/types/filters and daemon/events). */
export const EVENT_FILTERS = JSON.stringify({
  type: ["container", "image"],
  event: ["start", "die", "untag", "delete"],
});

const REMOVALS = new Set(["untag", "delete"]);

/** The maximum length of an event in bytes; with their labels, real ones have a few kilobytes. */
export const EVENT_LINE_LIMIT = 1024 * 1024;

/** The label by which dockershim and cri-dockerd mark a pod's sandbox or one of its containers. */
const TYPE_LABEL = "io.kubernetes.docker.type";

/**
 * Returns the event in a line of the stream, or undefined if it does not concern a pod's images or
 * is not a valid event.
 */
export function parseEvent(text: string): RuntimeEvent | undefined {
  let event;
  try {
    event = JSON.parse(text);
  } catch {
    // Events are only hints, and polling does not depend on them, so an unreadable one is ignored.
    return undefined;
  }
  if (event?.Type === "image") return REMOVALS.has(event.Action) ? "image-removed" : undefined;
  if (event?.Type !== "container") return undefined;
  const type = event.Actor?.Attributes?.[TYPE_LABEL];
  if (event.Action === "start" && type === "podsandbox") return "sandbox-started";
  if (event.Action === "die" && type === "container") return "container-died";
  return undefined;
}
