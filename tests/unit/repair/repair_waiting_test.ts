// What a repair does while it waits for its mirror.

import { assertEquals } from "@std/assert";
import { Cooldowns } from "../../../lib/mirrors/cooldown.ts";
import { MirrorPool, type MirrorPoolOptions } from "../../../lib/mirrors/pool.ts";
import { repair } from "../../../lib/repair/repair.ts";
import { RuntimeError } from "../../../lib/runtime/errors.ts";
import { boundedRuntime } from "../../../lib/runtime/limited.ts";
import { type PulledImage } from "../../../lib/runtime/runtime.ts";
import { clockAt } from "../../fakes/clock.ts";
import { repairOf } from "../../fakes/repairs.ts";
import { image, MemoryRuntime } from "../../fakes/runtime.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;

/** A mirror with one slot, which another pull holds until `free` is called. */
function crowded(runtime: MemoryRuntime) {
  const pull = Promise.withResolvers<PulledImage>();
  runtime.pulls["m.example/first:1"] = pull.promise;
  const options: MirrorPoolOptions = {
    settings: { "m.example": { maxConcurrentPulls: 1 } },
    concurrency: 8,
    probeAbove: 0,
    cooldowns: new Cooldowns(),
    clock: clockAt(0),
    random: () => 0,
    observer: {},
  };
  const tools = {
    runtime,
    mirrors: new MirrorPool(options),
    veto: () => undefined,
    observer: {},
    signal: new AbortController().signal,
  };
  const first = repair(repairOf("gcr.io/first:1"), tools);
  const free = () => {
    runtime.images.set("m.example/first:1", image("first"));
    pull.resolve({ digest: undefined, bytes: 1 });
    return first;
  };
  return { tools, free };
}

Deno.test("an image that the mirror seems to lack lets others go first, and is still pulled", async () => {
  const runtime = new MemoryRuntime({
    "m.example/wanted:1": { image: image("wanted"), digest: DIGEST },
    "m.example/hidden:1": { image: image("hidden"), digest: DIGEST },
  });
  const looked = new Map(["hidden", "wanted"].map((name) => [`m.example/${name}:1`, Promise.withResolvers<void>()]));
  const resolve = runtime.resolve.bind(runtime);
  runtime.resolve = async (reference, options) => {
    const answer = reference === "m.example/hidden:1" ? undefined : await resolve(reference, options);
    looked.get(reference)!.resolve();
    return answer;
  };
  const { tools, free } = crowded(runtime);
  const both = ["hidden", "wanted"].map((name) => repair(repairOf(`gcr.io/${name}:1`), tools));
  await Promise.all([...looked.values()].map(({ promise }) => promise));
  await free();
  assertEquals((await Promise.all(both)).map(({ result }) => result), ["repaired", "repaired"]);
  assertEquals(runtime.calls.filter((call) => call.startsWith("pull")), [
    "pull m.example/first:1",
    "pull m.example/wanted:1",
    "pull m.example/hidden:1",
  ]);
});

Deno.test("a failed query changes nothing: the image waits for its turn", async () => {
  const runtime = new MemoryRuntime({ "m.example/there:1": { image: image("there"), digest: DIGEST } });
  const asked = Promise.withResolvers<void>();
  runtime.resolve = () => {
    asked.resolve();
    return Promise.reject(new RuntimeError("failed", "500"));
  };
  const { tools, free } = crowded(runtime);
  const waiting = repair(repairOf("gcr.io/there:1"), tools);
  await asked.promise;
  await free();
  assertEquals((await waiting).result, "repaired");
});

Deno.test("queries to registries that hang do not delay queries to the image store", async () => {
  const runtime = new MemoryRuntime();
  runtime.images.set("gcr.io/there:1", image("there"));
  runtime.resolve = () => new Promise(() => {});
  const bounded = boundedRuntime(runtime, { calls: 1, resolves: 1 });
  const { signal } = new AbortController();
  void bounded.resolve!("m.example/a:1", { signal });
  void bounded.resolve!("m.example/b:1", { signal });
  assertEquals((await bounded.inspect("gcr.io/there:1", signal))?.id, "sha256:there");
});
