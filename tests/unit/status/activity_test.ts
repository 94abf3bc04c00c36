import { assertEquals } from "@std/assert";
import { parseReference } from "../../../lib/images/reference.ts";
import type { Candidate } from "../../../lib/images/rules.ts";
import type { Target } from "../../../lib/plan/plan.ts";
import { Activity } from "../../../lib/status/activity.ts";

const at = (mirror: string): Candidate => ({ mirror, repository: `${mirror}/a`, reference: `${mirror}/a:1` });
const target: Target = {
  name: "gcr.io/a:1",
  image: "gcr.io/a:1",
  reference: parseReference("gcr.io/a:1"),
  rule: { origin: "gcr.io", mirrors: ["m.example", "n.example"] },
  candidates: [at("m.example"), at("n.example")],
};

Deno.test("the mirror that is asked is known from the pull to its end", () => {
  const activity = new Activity();
  const known: (string | undefined)[] = [];
  const note = () => void known.push(activity.mirrorFor(target.name));
  note();
  activity.pulling(target, at("m.example"));
  note();
  activity.candidateFailed(target, { candidate: at("m.example"), failure: "stalled", message: "" });
  note();
  activity.pulling(target, at("n.example"));
  note();
  activity.ended(target.name);
  note();
  assertEquals(known, [undefined, "m.example", undefined, "n.example", undefined]);
});
