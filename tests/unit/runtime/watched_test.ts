// Holds the watch over the runtime: what counts as an answer, what as silence, and who is told.

import { assertEquals } from "@std/assert";
import { RuntimeError } from "../../../lib/runtime/runtime.ts";
import { WatchedRuntime } from "../../../lib/runtime/watched.ts";
import { MemoryRuntime } from "../../fakes/runtime.ts";

const SILENCE = { who: "the Docker Engine at /run/docker.sock", because: "Connection refused" };
const silent = () => new RuntimeError("unreachable", "inspect x: refused", { silence: SILENCE });

function scene() {
  const runtime = new MemoryRuntime();
  const heard: string[] = [];
  const watched = new WatchedRuntime(runtime, {
    runtimeSilent: ({ because }) => void heard.push(`silent: ${because}`),
    runtimeAnswers: () => void heard.push("answers"),
  });
  const stop = new AbortController();
  return { runtime, watched, heard, stop, inspect: () => watched.inspect("x:1", stop.signal).catch(() => {}) };
}

/** What a call ends in, and what that says. */
const VERDICTS: readonly (readonly [string, RuntimeError | undefined, readonly string[]])[] = [
  ["an answer", undefined, ["answers"]],
  ["an error that the Engine told", new RuntimeError("failed", "inspect x: disk"), ["answers"]],
  ["no usable answer", silent(), ["silent: Connection refused"]],
  ["an answer that broke off", new RuntimeError("unreachable", "pull x: broke off"), []],
];

for (const [what, failure, expected] of VERDICTS) {
  Deno.test(`${what} says ${expected[0] ?? "nothing of the Engine"}`, async () => {
    const { runtime, heard, inspect } = scene();
    if (failure !== undefined) runtime.failures.inspect = failure;
    await inspect();
    assertEquals(heard, expected);
  });
}

Deno.test("silence lasts until the next answer, and only silence is asked after", async () => {
  const { runtime, watched, stop, inspect } = scene();
  watched.askAgain(stop.signal);
  assertEquals([watched.silence, runtime.calls], [undefined, []]);
  runtime.failures.inspect = silent();
  await inspect();
  assertEquals(watched.silence, SILENCE);
  watched.askAgain(stop.signal);
  watched.askAgain(stop.signal);
  assertEquals(runtime.calls, ["inspect x:1", "info"], "one question at a time");
  await watched.info(stop.signal);
  assertEquals(watched.silence, undefined);
});

for (const opens of [true, false]) {
  Deno.test(`a stream of events that ${opens ? "was open and ends" : "does not open"} is ${opens ? "no " : ""}silence`, async () => {
    const { runtime, watched, heard, stop } = scene();
    const following = new WatchedRuntime(
      Object.assign(Object.create(runtime), {
        events: ({ onOpen }: { onOpen: () => void }) => {
          if (opens) onOpen();
          return Promise.reject(silent());
        },
      }),
      { runtimeSilent: () => void heard.push("silent"), runtimeAnswers: () => void heard.push("answers") },
    );
    await following.events({ signal: stop.signal, onOpen: () => {}, onEvent: () => {} }).catch(() => {});
    assertEquals(heard, [opens ? "answers" : "silent"]);
    assertEquals(watched.silence, undefined);
  });
}
