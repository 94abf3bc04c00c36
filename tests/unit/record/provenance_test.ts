// Tests lib/record/provenance.ts: a name whose image changed, and an image that two origins share.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Origin, Provenance } from "../../../lib/record/provenance.ts";

const ONE = "sha256:" + "1".repeat(64);
const TWO = "sha256:" + "2".repeat(64);

function origin(reference: string, candidate: string, digest = ONE): Origin {
  return { reference, candidate, digest };
}

function anomalies(known: readonly Origin[], asked: Origin): string[] {
  const provenance = new Provenance();
  for (const one of known) provenance.learn(one);
  return provenance.anomalies(asked).map(({ kind }) => kind);
}

/** The test's name, what was learned before, what is queried, and the anomalies found. */
const CASES: readonly (readonly [string, readonly Origin[], Origin, readonly string[]])[] = [
  ["a first repair is not an anomaly", [], origin("gcr.io/a/b:1", "m.example/a/b:1"), []],
  [
    "the same image again is not an anomaly",
    [origin("gcr.io/a/b:1", "m.example/a/b:1")],
    origin("gcr.io/a/b:1", "m.example/a/b:1"),
    [],
  ],
  [
    "the same image from another mirror is not an anomaly",
    [origin("gcr.io/a/b:1", "m.example/a/b:1")],
    origin("gcr.io/a/b:1", "n.example/a/b:1"),
    [],
  ],
  [
    "a tag with a changed digest is an anomaly",
    [origin("gcr.io/a/b:1", "m.example/a/b:1")],
    origin("gcr.io/a/b:1", "m.example/a/b:1", TWO),
    ["digest-changed"],
  ],
  [
    "only the newest digest of a tag counts",
    [origin("gcr.io/a/b:1", "m.example/a/b:1"), origin("gcr.io/a/b:1", "m.example/a/b:1", TWO)],
    origin("gcr.io/a/b:1", "m.example/a/b:1", TWO),
    [],
  ],
  [
    "two tags of one origin may be one image",
    [origin("gcr.io/a/b:1", "m.example/a/b:1")],
    origin("gcr.io/a/b:latest", "m.example/a/b:latest"),
    [],
  ],
  [
    "a tag and a digest of one origin may be one image",
    [origin("gcr.io/a/b:1", "m.example/a/b:1")],
    origin(`gcr.io/a/b@${ONE}`, `m.example/a/b@${ONE}`),
    [],
  ],
  [
    "one image of the mirror under two origins is an anomaly",
    [origin("gcr.io/a/b:1", "m.example/a/b:1")],
    origin("quay.io/a/b:1", "m.example/a/b:1"),
    ["shared-image"],
  ],
  [
    "one image under two origins is an anomaly even if the tags differ",
    [origin("gcr.io/a/b:1", "m.example/a/b:1")],
    origin("quay.io/a/b:2", "m.example/a/b:2"),
    ["shared-image"],
  ],
  [
    "origins that differ only in the port are two origins",
    [origin("r.example/a:1", "m.example/a:1")],
    origin("r.example:5000/a:1", "m.example/a:1"),
    ["shared-image"],
  ],
  [
    "one image under two paths of the mirror is not an anomaly: the mirror keeps the origins apart",
    [origin("gcr.io/a/b:1", "m.example/gcr.io/a/b:1")],
    origin("quay.io/a/b:1", "m.example/quay.io/a/b:1"),
    [],
  ],
  [
    "two images under one path of the mirror are not an anomaly",
    [origin("gcr.io/a/b:1", "m.example/a/b:1")],
    origin("quay.io/a/b:2", "m.example/a/b:2", TWO),
    [],
  ],
  [
    "a name can have both anomalies",
    [origin("gcr.io/a/b:1", "m.example/a/b:1"), origin("quay.io/a/b:1", "m.example/a/b:1", TWO)],
    origin("gcr.io/a/b:1", "m.example/a/b:1", TWO),
    ["digest-changed", "shared-image"],
  ],
  [
    "the first origin of an image remains its owner",
    [origin("gcr.io/a/b:1", "m.example/a/b:1"), origin("quay.io/a/b:1", "m.example/a/b:1")],
    origin("gcr.io/a/b:1", "m.example/a/b:1"),
    [],
  ],
  [
    "invalid names from the ledger are ignored",
    [origin("", ""), origin("@@::", "@"), origin("__proto__", "constructor")],
    origin("gcr.io/a/b:1", "m.example/a/b:1"),
    [],
  ],
];

for (const [sentence, known, asked, kinds] of CASES) {
  Deno.test(sentence, () => assertEquals(anomalies(known, asked), [...kinds]));
}

Deno.test("a query learns nothing", () => {
  const provenance = new Provenance();
  provenance.anomalies(origin("gcr.io/a/b:1", "m.example/a/b:1"));
  assertEquals(provenance.anomalies(origin("quay.io/a/b:1", "m.example/a/b:1", TWO)), []);
});

Deno.test("the messages name both sides", () => {
  const provenance = new Provenance();
  provenance.learn(origin("gcr.io/a/b:1", "m.example/a/b:1"));
  const [changed] = provenance.anomalies(origin("gcr.io/a/b:1", "n.example/a/b:1", TWO));
  assertEquals(
    changed?.message,
    `gcr.io/a/b:1 was ${ONE} (from m.example/a/b:1) on this node and is now ${TWO} (from n.example/a/b:1)`,
  );
  const [shared] = provenance.anomalies(origin("quay.io/a/b:1", "m.example/a/b:1"));
  assertStringIncludes(shared!.message, `quay.io/a/b:1 and gcr.io/a/b:1 are one image, m.example/a/b@${ONE}`);
});

Deno.test("the oldest names are forgotten above the limit, and the newest are kept", () => {
  const provenance = new Provenance();
  for (let number = 0; number < 30_000; number++) {
    provenance.learn(origin(`gcr.io/a:${number}`, `m.example/a:${number}`));
  }
  const kindsAbout = (number: number) =>
    provenance.anomalies(origin(`gcr.io/a:${number}`, `m.example/a:${number}`, TWO)).map(({ kind }) => kind);
  assertEquals([kindsAbout(0), kindsAbout(29_999), kindsAbout(26_000)], [[], ["digest-changed"], ["digest-changed"]]);
});
