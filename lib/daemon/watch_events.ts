// Follows the runtime's events while the daemon runs. A broken stream is reported and reopened;
// nothing depends on an event arriving.

import type { EventOptions, RuntimeEvent } from "../runtime/runtime.ts";
import { growing } from "../support/backoff.ts";
import { LinkedSignal, sleep } from "../support/timeouts.ts";

/** The first and the longest pause before the stream is reopened, in milliseconds. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/** Receives the events and changes of the stream. */
export interface EventListener {
  opened(): void;
  /** The stream failed. `wasOpen` is whether it was open, so that events may have been missed. */
  broke(error: unknown, wasOpen: boolean): void;
  happened(event: RuntimeEvent): void;
}

/** Follows `events` until the signal is aborted, then resolves. Never throws. */
export async function watchEvents(
  events: (options: EventOptions) => Promise<never>,
  listener: EventListener,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    let isOpen = false;
    try {
      using following = new LinkedSignal(signal);
      await events({
        signal: following.signal,
        onOpen: () => {
          isOpen = true;
          failures = 0;
          listener.opened();
        },
        onEvent: (event) => listener.happened(event),
      });
    } catch (error) {
      if (signal.aborted) return;
      listener.broke(error, isOpen);
    }
    await sleep(growing(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, ++failures), signal);
  }
}
