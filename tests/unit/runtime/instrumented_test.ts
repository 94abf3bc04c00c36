// What a runtime reports: which results count as an answer or as silence, and what a pull took.

import { assertEquals } from "@std/assert";
import type { Silence } from "../../../lib/runtime/advice.ts";
import { RuntimeError } from "../../../lib/runtime/errors.ts";
import { InstrumentedRuntime } from "../../../lib/runtime/instrumented.ts";
import type { LocalImage, RuntimeObserver } from "../../../lib/runtime/runtime.ts";
import { image, MEMORY_ADVICE, MemoryRuntime } from "../../fakes/runtime.ts";

const SILENCE = { runtime: MEMORY_ADVICE, because: "Connection refused" };
const silent = (silence: Silence = SILENCE) => new RuntimeError("unreachable", "inspect x: refused", { silence });
const HANGS: Silence = { ...SILENCE, because: "no answer within 30 s", fault: { kind: "hangs" } };

const never = new AbortController().signal;

function scene() {
  const runtime = new MemoryRuntime();
  const heard: string[] = [];
  const watched = new InstrumentedRuntime(runtime, {
    runtimeSilent: ({ because }) => void heard.push(`silent: ${because}`),
    runtimeAnswers: () => void heard.push("answers"),
  }, () => 0);
  const stop = new AbortController();
  return { runtime, watched, heard, stop, inspect: () => watched.inspect("x:1", stop.signal).catch(() => {}) };
}

/** How a call ends, and what that reports. */
const VERDICTS: readonly (readonly [string, RuntimeError | undefined, readonly string[]])[] = [
  ["an answer", undefined, ["answers"]],
  ["an error from the Engine", new RuntimeError("failed", "inspect x: disk"), ["answers"]],
  ["no usable answer", silent(), ["silent: Connection refused"]],
  ["no answer in time", silent(HANGS), ["silent: no answer within 30 s"]],
  ["a truncated answer", new RuntimeError("unreachable", "pull x: broke off"), []],
];

for (const [what, failure, expected] of VERDICTS) {
  Deno.test(`${what} reports ${expected[0] ?? "nothing about the Engine"}`, async () => {
    const { runtime, heard, inspect } = scene();
    if (failure !== undefined) runtime.failures.inspect = failure;
    await inspect();
    assertEquals(heard, expected);
  });
}

Deno.test("silence lasts until the next answer, and only silence is queried again", async () => {
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

/** Ends a call after one that began later was answered; returns what both reported. */
async function overtaken(
  silence: Silence,
): Promise<{ readonly heard: string[]; readonly silence: Silence | undefined }> {
  const { runtime, watched, heard, stop, inspect } = scene();
  const late = Promise.withResolvers<LocalImage | undefined>();
  const asked = runtime.inspect.bind(runtime);
  runtime.inspect = () => late.promise;
  const inspecting = inspect();
  runtime.inspect = asked;
  await watched.info(stop.signal);
  late.reject(silent(silence));
  await inspecting;
  return { heard, silence: watched.silence };
}

Deno.test("a call that runs out of time after a later one was answered is no silence", async () => {
  assertEquals(await overtaken(HANGS), { heard: ["answers"], silence: undefined });
});

Deno.test("a call that is refused is silence, even after a later one was answered", async () => {
  const silence: Silence = { ...SILENCE, fault: { kind: "not-listening" } };
  assertEquals(await overtaken(silence), { heard: ["answers", "silent: Connection refused"], silence });
});

for (const opens of [true, false]) {
  Deno.test(`a stream of events that ${opens ? "was open and ends" : "does not open"} is ${opens ? "no " : ""}silence`, async () => {
    const { runtime, watched, heard, stop } = scene();
    const following = new InstrumentedRuntime(
      Object.assign(Object.create(runtime), {
        events: ({ onOpen }: { onOpen: () => void }) => {
          if (opens) onOpen();
          return Promise.reject(silent());
        },
      }),
      { runtimeSilent: () => void heard.push("silent"), runtimeAnswers: () => void heard.push("answers") },
      () => 0,
    );
    await following.events({ signal: stop.signal, onOpen: () => {}, onEvent: () => {} }).catch(() => {});
    assertEquals(heard, [opens ? "answers" : "silent"]);
    assertEquals(watched.silence, undefined);
  });
}

/** An observer that records the calls that it hears. */
function hearing(): RuntimeObserver & { readonly heard: unknown[] } {
  const heard: unknown[] = [];
  return {
    heard,
    pulled: (seconds, bytes) => void heard.push(["pulled", seconds, bytes]),
    pullFailed: (seconds) => void heard.push(["pull failed", seconds]),
    callFailed: (kind) => void heard.push(kind),
  };
}

Deno.test("the observer hears the duration of pulls and the kinds of failures, and changes no result", async () => {
  const inner = new MemoryRuntime({
    "m.example/a/b:1": { image: image("1"), digest: "sha256:d" },
    "m.example/a/c:1": new RuntimeError("denied", "no"),
  });
  let clock = 0;
  const observer = hearing();
  const runtime = new InstrumentedRuntime(inner, observer, () => clock += 500);
  assertEquals(await runtime.pull("m.example/a/b:1", { signal: never }), { digest: "sha256:d", bytes: 10 });
  const error = await runtime.pull("m.example/a/c:1", { signal: never }).catch((error) => error);
  assertEquals([error instanceof RuntimeError, error.message], [true, "no"]);
  inner.failures.inspect = new RuntimeError("unreachable", "gone");
  await runtime.inspect("x:1", never).catch(() => {});
  inner.failures.tag = new RuntimeError("failed", "disk full");
  await runtime.tag("sha256:1", { name: "x", tag: "1" }, never).catch(() => {});
  assertEquals((await runtime.info(never)).name, "memory");
  runtime.close();
  assertEquals(observer.heard, [["pulled", 0.5, 10], "denied", ["pull failed", 0.5], "unreachable", "failed"]);
  assertEquals(inner.calls.at(-1), "close");
});

Deno.test("a pull that our own stop ended is not counted as a failure", async () => {
  const stop = new AbortController();
  const hanging = new MemoryRuntime({ "m.example/a/b:1": new Promise(() => {}) });
  const observer = hearing();
  const runtime = new InstrumentedRuntime(hanging, observer, () => 0);
  const pull = runtime.pull("m.example/a/b:1", { signal: stop.signal }).catch((error) => error.name);
  stop.abort();
  assertEquals([await pull, observer.heard], ["AbortError", []]);
});
