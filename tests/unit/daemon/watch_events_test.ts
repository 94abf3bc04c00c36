import { assertEquals } from "@std/assert";
import { watchEvents } from "../../../lib/daemon/watch_events.ts";
import type { EventOptions } from "../../../lib/runtime/runtime.ts";

for (const opens of [true, false]) {
  Deno.test(`a stream that breaks reports that events ${opens ? "may be missed" : "are not missed if it never opened"}`, async () => {
    const stop = new AbortController();
    const heard: unknown[] = [];
    const events = ({ onOpen, onEvent }: EventOptions): Promise<never> => {
      if (opens) onOpen();
      if (opens) onEvent("sandbox-started");
      return Promise.reject(new Error("gone"));
    };
    await watchEvents(events, {
      opened: () => heard.push("opened"),
      happened: (event) => heard.push(event),
      broke: (error, wasOpen) => {
        heard.push(error instanceof Error ? error.message : error, wasOpen);
        stop.abort();
      },
    }, stop.signal);
    assertEquals(heard, opens ? ["opened", "sandbox-started", "gone", true] : ["gone", false]);
  });
}
