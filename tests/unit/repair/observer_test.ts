import { assertEquals } from "@std/assert";
import { type Observer, tellAll } from "../../../lib/repair/observer.ts";

Deno.test("each event reaches all observers that handle it, in order", () => {
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

Deno.test("an observer that is a class instance keeps its this", () => {
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
  tellAll<Observer>([counter]).ended?.("gcr.io/a:1");
  assertEquals(counter.count, 1);
});

Deno.test("an event that no observer handles is undefined, until one that handles it is added", () => {
  const observers: Observer[] = [{ connected: () => {} }];
  const all = tellAll(observers);
  assertEquals(all.progress, undefined);
  const heard: unknown[] = [];
  observers.push({ progress: (_target, _candidate, progress) => void heard.push(progress.status) });
  all.progress?.({} as never, {} as never, { layer: "a", status: "Downloading" });
  assertEquals(heard, ["Downloading"]);
});
