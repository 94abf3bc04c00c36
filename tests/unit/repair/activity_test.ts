import { assertEquals } from "@std/assert";
import { Activity } from "../../../lib/repair/activity.ts";
import { repairOf } from "../../fakes/repairs.ts";

const target = repairOf("gcr.io/a:1", ["m.example", "n.example"]);
const [m, n] = target.candidates;

Deno.test("the mirror in use is known from the start of a pull to its end", () => {
  const activity = new Activity();
  const known: (string | undefined)[] = [];
  const note = () => void known.push(activity.mirrorFor(target.name));
  note();
  activity.pulling(target, m!);
  note();
  activity.candidateFailed(target);
  note();
  activity.pulling(target, n!);
  note();
  activity.ended(target.name);
  note();
  assertEquals(known, [undefined, "m.example", undefined, "n.example", undefined]);
});
