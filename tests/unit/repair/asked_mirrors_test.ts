import { assertEquals } from "@std/assert";
import { parseReference } from "../../../lib/images/reference.ts";
import type { Candidate } from "../../../lib/images/rules.ts";
import type { Target } from "../../../lib/plan/plan.ts";
import { AskedMirrors } from "../../../lib/repair/asked_mirrors.ts";
import type { RepairListener } from "../../../lib/repair/repair.ts";

const at = (mirror: string): Candidate => ({ mirror, repository: `${mirror}/a`, reference: `${mirror}/a:1` });
const target: Target = {
  name: "gcr.io/a:1",
  image: "gcr.io/a:1",
  reference: parseReference("gcr.io/a:1"),
  rule: { origin: "gcr.io", mirrors: ["m.example", "n.example"] },
  candidates: [at("m.example"), at("n.example")],
};

function listening(): { heard: string[]; listener: RepairListener } {
  const heard: string[] = [];
  return {
    heard,
    listener: {
      started: () => void heard.push("started"),
      pulling: (_, { mirror }) => void heard.push(`pulling from ${mirror}`),
      candidateFailed: (_, { candidate }) => void heard.push(`${candidate.mirror} failed`),
      tagged: (_target, _candidate, name) => void heard.push(`tagged ${name}`),
    },
  };
}

Deno.test("the mirror that is asked is known from the pull to its end, and everything is handed on", () => {
  const { heard, listener } = listening();
  const asked = new AskedMirrors(listener);
  const known: (string | undefined)[] = [];
  const note = () => void known.push(asked.of(target.name));
  asked.started(target);
  note();
  asked.pulling(target, at("m.example"));
  note();
  asked.candidateFailed(target, { candidate: at("m.example"), failure: "stalled", message: "" });
  note();
  asked.pulling(target, at("n.example"));
  note();
  asked.tagged(target, at("n.example"), target.name);
  note();
  assertEquals(known, [undefined, "m.example", undefined, "n.example", undefined]);
  assertEquals(heard, [
    "started",
    "pulling from m.example",
    "m.example failed",
    "pulling from n.example",
    "tagged gcr.io/a:1",
  ]);
});

Deno.test("progress is asked for only when somebody listens to it", () => {
  const { listener } = listening();
  assertEquals(new AskedMirrors(listener).progress, undefined);
  let heard = 0;
  const asked = new AskedMirrors({ ...listener, progress: () => void heard++ });
  asked.progress?.(target, at("m.example"), {} as never);
  assertEquals(heard, 1);
});
