// Holds lib/log/throttle.ts to saying a thing once, and then ever more rarely.

import { assert, assertEquals } from "@std/assert";
import { Reminders } from "../../../lib/log/throttle.ts";

const NOW = 1_589_591_513_000;
const MINUTE = 60_000;

Deno.test("what is new is said at once, and not again in the same moment", () => {
  const reminders = new Reminders();
  assert(reminders.due("pod:app", "waits", NOW));
  assert(!reminders.due("pod:app", "waits", NOW));
});

Deno.test("what lasts is said again after 10, 30, 60 and then every 360 minutes, to the millisecond", () => {
  const reminders = new Reminders();
  reminders.due("pod:app", "waits", NOW);
  let said = NOW;
  for (const minutes of [10, 30, 60, 360, 360, 360]) {
    const next = said + minutes * MINUTE;
    assert(!reminders.due("pod:app", "waits", next - 1), `said before ${minutes} minutes were over`);
    assert(reminders.due("pod:app", "waits", next), `not said after ${minutes} minutes`);
    said = next;
  }
});

Deno.test("a daemon that asks every five seconds for a day says a lasting thing seven times", () => {
  const reminders = new Reminders();
  let said = 0;
  for (let second = 0; second < 86_400; second += 5) {
    if (reminders.due("pod:app", "waits", NOW + 1000 * second)) said++;
  }
  // At 0, 10, 40, 100, 460, 820 and 1180 minutes.
  assertEquals(said, 7);
});

Deno.test("a changed text is news, and its intervals begin anew", () => {
  const reminders = new Reminders();
  reminders.due("pod:app", "waits", NOW);
  assert(reminders.due("pod:app", "waits", NOW + 10 * MINUTE));
  assert(reminders.due("pod:app", "is denied", NOW + 11 * MINUTE));
  assert(!reminders.due("pod:app", "is denied", NOW + 20 * MINUTE));
  assert(reminders.due("pod:app", "is denied", NOW + 21 * MINUTE));
});

Deno.test("the same text about another thing is said", () => {
  const reminders = new Reminders();
  assert(reminders.due("pod:a", "waits", NOW));
  assert(reminders.due("pod:b", "waits", NOW));
});

Deno.test("an empty text is a text", () => {
  const reminders = new Reminders();
  assert(reminders.due("pod:a", "", NOW));
  assert(!reminders.due("pod:a", "", NOW));
});

Deno.test("clearing tells whether anything had been said, and makes the thing news again", () => {
  const reminders = new Reminders();
  assert(!reminders.clear("kubelet"));
  reminders.due("kubelet", "refused", NOW);
  assert(reminders.clear("kubelet"));
  assert(!reminders.clear("kubelet"));
  assert(reminders.due("kubelet", "refused", NOW));
});

Deno.test("keepOnly forgets within its kind alone, and a kind is a whole word", () => {
  const reminders = new Reminders();
  const keys = ["skip:a", "skip:b", "skipped:c", "mirror:d", "skip"];
  for (const key of keys) reminders.due(key, "text", NOW);
  reminders.keepOnly("skip", new Set(["skip:b"]));
  assertEquals(keys.filter((key) => reminders.due(key, "text", NOW)), ["skip:a"]);
});

Deno.test("of too many things the one said longest ago is forgotten, not the one said again of late", () => {
  const reminders = new Reminders();
  reminders.due("first", "text", NOW);
  reminders.due("second", "text", NOW);
  reminders.due("first", "text", NOW + 10 * MINUTE);
  for (let count = 0; count < 4999; count++) reminders.due(`other:${count}`, "text", NOW + 10 * MINUTE);
  assert(!reminders.due("first", "text", NOW + 10 * MINUTE), "the first was said again of late, yet forgotten");
  assert(reminders.due("second", "text", NOW + 10 * MINUTE), "the second was said longest ago, yet remembered");
});
