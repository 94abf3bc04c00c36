// Follows the runtime's events for as long as the daemon runs. When the stream breaks it says so and tries again; nobody
// depends on an event arriving.

import type { EventOptions, RuntimeEvent } from "../runtime/runtime.ts";
import { growing } from "../support/backoff.ts";
import { LinkedSignal } from "../support/linked_signal.ts";
import { sleep } from "../support/timeouts.ts";

/** Pauses before the stream is opened again, in milliseconds: the first, and the longest. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/** Who hears of the stream and its events. */
export interface EventListener {
  opened(): void;
  /** `wasOpen` tells whether events can have been missed; a stream that is still gone has nothing new to tell. */
  broke(error: unknown, wasOpen: boolean): void;
  happened(event: RuntimeEvent): void;
}

/** Follows `events` until the signal is aborted; resolves then, and never throws. */
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
