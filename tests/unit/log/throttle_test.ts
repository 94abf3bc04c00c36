// Tests lib/log/throttle.ts: a message passes once, and then at growing intervals.

import { assert, assertEquals } from "@std/assert";
import { Throttle } from "../../../lib/log/throttle.ts";

const NOW = 1_589_591_513_000;
const MINUTE = 60_000;

Deno.test("a new message is logged immediately, and not again at the same moment", () => {
  const throttle = new Throttle();
  assert(throttle.shouldLog("pod:app", "waits", NOW));
  assert(!throttle.shouldLog("pod:app", "waits", NOW));
});

Deno.test("a lasting message is logged again after 10, 30, 60 and then every 360 minutes", () => {
  const throttle = new Throttle();
  throttle.shouldLog("pod:app", "waits", NOW);
  let said = NOW;
  for (const minutes of [10, 30, 60, 360, 360, 360]) {
    const next = said + minutes * MINUTE;
    assert(!throttle.shouldLog("pod:app", "waits", next - 1), `said before ${minutes} minutes were over`);
    assert(throttle.shouldLog("pod:app", "waits", next), `not said after ${minutes} minutes`);
    said = next;
  }
});

Deno.test("a message offered every five seconds for a day is logged seven times", () => {
  const throttle = new Throttle();
  let said = 0;
  for (let second = 0; second < 86_400; second += 5) {
    if (throttle.shouldLog("pod:app", "waits", NOW + 1000 * second)) said++;
  }
  // At 0, 10, 40, 100, 460, 820 and 1180 minutes.
  assertEquals(said, 7);
});

Deno.test("a changed text is logged, and its intervals start over", () => {
  const throttle = new Throttle();
  throttle.shouldLog("pod:app", "waits", NOW);
  assert(throttle.shouldLog("pod:app", "waits", NOW + 10 * MINUTE));
  assert(throttle.shouldLog("pod:app", "is denied", NOW + 11 * MINUTE));
  assert(!throttle.shouldLog("pod:app", "is denied", NOW + 20 * MINUTE));
  assert(throttle.shouldLog("pod:app", "is denied", NOW + 21 * MINUTE));
});

Deno.test("the same text about another subject is logged", () => {
  const throttle = new Throttle();
  assert(throttle.shouldLog("pod:a", "waits", NOW));
  assert(throttle.shouldLog("pod:b", "waits", NOW));
});

Deno.test("an empty text is throttled like any other", () => {
  const throttle = new Throttle();
  assert(throttle.shouldLog("pod:a", "", NOW));
  assert(!throttle.shouldLog("pod:a", "", NOW));
});

Deno.test("forget reports whether anything was logged, and lets the subject be logged again", () => {
  const throttle = new Throttle();
  assert(!throttle.forget("kubelet"));
  throttle.shouldLog("kubelet", "refused", NOW);
  assert(throttle.forget("kubelet"));
  assert(!throttle.forget("kubelet"));
  assert(throttle.shouldLog("kubelet", "refused", NOW));
});

Deno.test("retain forgets only keys of its kind, and a kind is a complete word", () => {
  const throttle = new Throttle();
  const keys = ["skip:a", "skip:b", "skipped:c", "mirror:d", "skip"];
  for (const key of keys) throttle.shouldLog(key, "text", NOW);
  throttle.retain("skip", new Set(["skip:b"]));
  assertEquals(keys.filter((key) => throttle.shouldLog(key, "text", NOW)), ["skip:a"]);
});

Deno.test("with too many subjects the one logged longest ago is forgotten", () => {
  const throttle = new Throttle();
  throttle.shouldLog("first", "text", NOW);
  throttle.shouldLog("second", "text", NOW);
  throttle.shouldLog("first", "text", NOW + 10 * MINUTE);
  for (let count = 0; count < 4999; count++) throttle.shouldLog(`other:${count}`, "text", NOW + 10 * MINUTE);
  assert(!throttle.shouldLog("first", "text", NOW + 10 * MINUTE), "the first was said again of late, yet forgotten");
  assert(throttle.shouldLog("second", "text", NOW + 10 * MINUTE), "the second was said longest ago, yet remembered");
});
