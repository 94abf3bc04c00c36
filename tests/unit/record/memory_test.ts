// What a reload keeps of what was learned, and what the new config invalidates.

import { assertEquals } from "@std/assert";
import { parseReference } from "../../../lib/images/reference.ts";
import { compileRules, matchRule } from "../../../lib/images/rules.ts";
import { failedOutcome, type Outcome } from "../../../lib/plan/outcome.ts";
import { carryOver, emptyMemory, type MemoryTerms } from "../../../lib/record/memory.ts";

const IMAGE = "gcr.io/team/app:1";
const NOW = 1_600_000_000_000;
const DOCKER = { kind: "docker", socket: "/run/docker.sock" };
const BACKOFF = { initialSeconds: 10, maxSeconds: 300 };

interface Change {
  /** The mirrors of gcr.io; those of quay.io do not change. */
  readonly mirrors?: readonly string[];
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly backoff?: typeof BACKOFF;
  readonly runtime?: typeof DOCKER;
}

function terms(change: Change = {}): MemoryTerms {
  const { mirrors = ["a.example", "b.example"], settings = {}, backoff = BACKOFF, runtime = DOCKER } = change;
  const rules = [{ origin: "gcr.io", mirrors }, { origin: "quay.io", mirrors: ["c.example"] }];
  return { registries: compileRules(rules), config: { mirrors: settings, repair: { backoff }, runtime } };
}

/** Returns the image's remaining pause and the mirrors still cooling down, after the change. */
function after(change: Change, failure: "registry-down" | "not-found" | "denied" = "registry-down") {
  const [old, fresh] = [terms(), terms(change)];
  const match = matchRule(old.registries, parseReference(IMAGE));
  const candidates = match.rule === undefined ? [] : match.candidates;
  const memory = emptyMemory(BACKOFF);
  const outcome: Outcome = failedOutcome(candidates.map((candidate) => ({ candidate, failure, message: "" })));
  for (const retries of [memory.retries, memory.keptRetries]) {
    retries.record({ name: IMAGE, candidates }, outcome, NOW, 0);
  }
  const moment = { now: NOW, random: 0 };
  for (const mirror of ["a.example", "b.example", "c.example"]) {
    const place = { mirror, location: mirror, repository: `${mirror}/team/app` };
    memory.cooldowns.failed(place, { kind: "registry-down", because: "down", askedSeconds: undefined }, moment);
  }
  memory.provenance.learn({ reference: IMAGE, candidate: "a.example/team/app:1", digest: "sha256:a" });
  carryOver(memory, old, fresh);
  const anomalies = memory.provenance.anomalies({
    reference: IMAGE,
    candidate: "a.example/team/app:1",
    digest: "sha256:b",
  });
  assertEquals(anomalies.length, 1, "where an image came from is known whatever the config says");
  const pauses = [memory.retries, memory.keptRetries].map((retries) => retries.get(IMAGE)?.nextTryAt);
  assertEquals(pauses[0], pauses[1]);
  return { pause: pauses[0] && pauses[0] - NOW, cooling: [...memory.cooldowns.mirrors(NOW).keys()] };
}

const EVERY = ["a.example", "b.example", "c.example"];
const OTHER_CREDENTIALS = { authFile: "/auth.json" };
const CHANGES: readonly (readonly [string, Change, number | undefined, readonly string[]])[] = [
  ["the same rules and mirrors keep back-off and cool-downs", {}, 10_000, EVERY],
  ["another runtime starts over", { runtime: { kind: "containerd", socket: "/run/c.sock" } }, undefined, []],
  ["another socket starts over", { runtime: { ...DOCKER, socket: "/var/run/docker.sock" } }, undefined, []],
  [
    "one more mirror in the rule makes its images due",
    { mirrors: ["a.example", "b.example", "d.example"] },
    undefined,
    EVERY,
  ],
  ["another path at a mirror makes its images due", { mirrors: ["a.example/gcr", "b.example"] }, undefined, EVERY],
  ["mirrors in another order make their images due", { mirrors: ["b.example", "a.example"] }, undefined, EVERY],
  ["a removed mirror is forgotten", { mirrors: ["a.example"] }, undefined, ["a.example", "c.example"]],
  [
    "new settings of a mirror make it and its images due",
    { settings: { "b.example": OTHER_CREDENTIALS } },
    undefined,
    ["a.example", "c.example"],
  ],
  [
    "new settings of an unrelated mirror leave this image alone",
    { settings: { "c.example": OTHER_CREDENTIALS } },
    10_000,
    ["a.example", "b.example"],
  ],
  ["another back-off applies at once", { backoff: { initialSeconds: 2, maxSeconds: 300 } }, 2000, EVERY],
];

Deno.test("on a reload cool-downs of paths and repositories stay where a rule still has images", () => {
  const memory = emptyMemory(BACKOFF);
  const moment = { now: NOW, random: 0 };
  const fail = (location: string, name: string) => {
    const place = { mirror: "a.example", location, repository: `${location}/${name}` };
    const failure = { kind: "rate-limited", because: "429", askedSeconds: undefined };
    memory.cooldowns.failed(place, failure, moment);
    return place;
  };
  for (const path of ["quay", "gcr"]) for (const name of ["a", "b"]) fail(`a.example/${path}`, name);
  const [kept, gone] = [fail("a.example/gcr", "c"), fail("a.example/quay", "c")];
  memory.cooldowns.delivered({ mirror: "a.example", location: "a.example", repository: "a.example/x" });
  carryOver(memory, terms(), terms({ mirrors: ["a.example/gcr"] }));
  assertEquals([...memory.cooldowns.mirrors(NOW).keys()], ["a.example/gcr"]);
  assertEquals([kept, gone].map((place) => memory.cooldowns.current(place, NOW)?.scope), [kept.location, undefined]);
});

for (const [what, change, pause, cooling] of CHANGES) {
  Deno.test(`on a reload ${what}`, () => assertEquals(after(change), { pause, cooling }));
}

Deno.test("on a reload images that were denied are due, since their credentials may be fixed", () => {
  assertEquals(after({}, "denied").pause, undefined);
  assertEquals(after({}, "not-found").pause, 10_000);
});
