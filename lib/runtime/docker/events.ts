// The Engine's event stream, reduced to what may make an image wanted or absent. Lines in, events out.

import type { RuntimeEvent } from "../runtime.ts";

/** The `filters` of GET /events: what is asked for at all (moby, api/types/filters and daemon/events). */
export const EVENT_FILTERS = JSON.stringify({
  type: ["container", "image"],
  event: ["start", "die", "untag", "delete"],
});

const REMOVALS = new Set(["untag", "delete"]);

/** A line longer than this is no event; labels make real ones a few kilobytes. */
export const EVENT_LINE_LIMIT = 1024 * 1024;

/** dockershim and cri-dockerd label what they start: a pod's sandbox, or one of its containers. */
const TYPE_LABEL = "io.kubernetes.docker.type";

/** The event in a line of the stream; undefined for what does not concern a pod's images, and for what is no event. */
export function parseEvent(text: string): RuntimeEvent | undefined {
  let event;
  try {
    event = JSON.parse(text);
  } catch {
    // A hint that cannot be read is a hint that did not arrive; the polls do not depend on it.
    return undefined;
  }
  if (event?.Type === "image") return REMOVALS.has(event.Action) ? "image-removed" : undefined;
  if (event?.Type !== "container") return undefined;
  const type = event.Actor?.Attributes?.[TYPE_LABEL];
  if (event.Action === "start" && type === "podsandbox") return "sandbox-started";
  if (event.Action === "die" && type === "container") return "container-died";
  return undefined;
}
