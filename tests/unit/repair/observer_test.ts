import { assertEquals } from "@std/assert";
import { type Observer, tellAll } from "../../../lib/repair/observer.ts";

Deno.test("each news reaches all who have a use for it, in their order", () => {
  const heard: string[] = [];
  const named = (name: string): Observer => ({
    connected: (host) => void heard.push(`${name}: ${host}`),
    ...(name === "second" && { passed: (good, seconds) => void heard.push(`${name}: ${good} ${seconds}`) }),
  });
  const all = tellAll([named("first"), named("second")]);
  all.connected?.("https://node:10250");
  all.passed?.(true, 2);
  assertEquals(heard, ["first: https://node:10250", "second: https://node:10250", "second: true 2"]);
});

Deno.test("an observer of a class keeps itself", () => {
  class Counter implements Observer {
    #count = 0;
    get count(): number {
      return this.#count;
    }
    ended(): void {
      this.#count++;
    }
  }
  const counter = new Counter();
  tellAll([counter]).ended?.("gcr.io/a:1");
  assertEquals(counter.count, 1);
});

Deno.test("a news that nobody has a use for is no method, until somebody joins who has", () => {
  const observers: Observer[] = [{ connected: () => {} }];
  const all = tellAll(observers);
  assertEquals(all.progress, undefined);
  const heard: unknown[] = [];
  observers.push({ progress: (_target, _candidate, progress) => void heard.push(progress.status) });
  all.progress?.({} as never, {} as never, { layer: "a", status: "Downloading" });
  assertEquals(heard, ["Downloading"]);
});
