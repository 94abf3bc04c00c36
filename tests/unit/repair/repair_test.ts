import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { compileExclusions } from "../../../lib/images/exclusions.ts";
import { type Candidate, compileRules } from "../../../lib/images/rules.ts";
import { adviceOn, type CandidateAttempt, type FinalReason } from "../../../lib/plan/outcome.ts";
import { isRefusal, planImage, type Target } from "../../../lib/plan/plan.ts";
import type { Observer } from "../../../lib/repair/observer.ts";
import { repair, type RepairContext } from "../../../lib/repair/repair.ts";
import { RuntimeError } from "../../../lib/runtime/errors.ts";
import { image, MemoryRuntime, openMirrors } from "../../fakes/runtime.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;

const registries = compileRules([
  { origin: "gcr.io", mirrors: ["mirror.example"] },
  { origin: "quay.io", mirrors: ["one.example", "two.example"] },
]);

function target(name: string): Target {
  const exclusions = compileExclusions({ images: [], namespaces: [] });
  const planned = planImage(name, { registries, exclusions, canAliasDigest: undefined, redirected: new Set() });
  assert(!isRefusal(planned));
  return planned;
}

function tools(
  runtime: MemoryRuntime,
  changes: Partial<RepairContext> = {},
): RepairContext & { attempts: CandidateAttempt[] } {
  const attempts: CandidateAttempt[] = [];
  const observer: Observer = { candidateFailed: (_target, attempt) => void attempts.push(attempt) };
  return {
    runtime,
    mirrors: openMirrors(),
    veto: () => undefined,
    observer,
    signal: new AbortController().signal,
    attempts,
    ...changes,
  };
}

Deno.test("a repair pulls from the mirror, tags by image ID and verifies the original name", async () => {
  const runtime = new MemoryRuntime({ "mirror.example/a/b/c:1": { image: image("1"), digest: DIGEST } });
  const outcome = await repair(target("gcr.io/a/b/c:1"), tools(runtime));
  assert(outcome.result === "repaired");
  assertEquals([outcome.id, outcome.tagged, outcome.digest], ["sha256:1", "gcr.io/a/b/c:1", DIGEST]);
  assertEquals(runtime.calls, [
    "inspect gcr.io/a/b/c:1",
    "pull mirror.example/a/b/c:1",
    "inspect mirror.example/a/b/c:1",
    "inspect gcr.io/a/b/c:1",
    "tag sha256:1 gcr.io/a/b/c:1",
    "inspect gcr.io/a/b/c:1",
  ]);
});

Deno.test("a name with one path element is repaired like any other", async () => {
  const runtime = new MemoryRuntime({ "mirror.example/pause:3": { image: image("1") } });
  assertEquals((await repair(target("gcr.io/pause:3"), tools(runtime))).result, "repaired");
  assert(runtime.images.has("gcr.io/pause:3"));
});

Deno.test("a name that exists already is left alone, and the mirror is not contacted", async () => {
  const runtime = new MemoryRuntime();
  runtime.images.set("gcr.io/a/b:1", image("old"));
  assertEquals(await repair(target("gcr.io/a/b:1"), tools(runtime)), { result: "already-present", id: "sha256:old" });
  assertEquals(runtime.calls, ["inspect gcr.io/a/b:1"]);
});

Deno.test("a name that appears during the pull is not moved", async () => {
  const runtime = new MemoryRuntime({ "mirror.example/a/b:1": { image: image("new") } });
  const inspect = runtime.inspect.bind(runtime);
  runtime.inspect = (reference) => {
    if (reference === "mirror.example/a/b:1") runtime.images.set("gcr.io/a/b:1", image("theirs"));
    return inspect(reference);
  };
  assertEquals(await repair(target("gcr.io/a/b:1"), tools(runtime)), {
    result: "already-present",
    id: "sha256:theirs",
  });
  assertEquals(runtime.images.get("gcr.io/a/b:1")?.id, "sha256:theirs");
});

Deno.test("the second mirror delivers when the first cannot, and the failure of the first is recorded", async () => {
  const down = new RuntimeError("registry-down", "pull one.example/a/b:1: connection refused");
  const runtime = new MemoryRuntime({ "one.example/a/b:1": down, "two.example/a/b:1": { image: image("1") } });
  const failed: string[] = [];
  const given = tools(runtime, {
    mirrors: openMirrors({ failed: ({ mirror }, error) => failed.push(`${mirror} ${error.kind}`) }),
  });
  const outcome = await repair(target("quay.io/a/b:1"), given);
  assert(outcome.result === "repaired");
  assertEquals(outcome.candidate.mirror, "two.example");
  assertEquals(failed, ["one.example registry-down"]);
  assertEquals(given.attempts.map(({ failure }) => failure), ["registry-down"]);
});

Deno.test("a mirror that is cooling down is skipped without a call", async () => {
  const runtime = new MemoryRuntime({ "two.example/a/b:1": { image: image("1") } });
  const coolingDown = ({ mirror }: Candidate) =>
    mirror === "one.example" ? { message: "one.example is cooling down for another 5 s", until: 5000 } : undefined;
  const given = tools(runtime, { mirrors: openMirrors({ coolingDown }) });
  await repair(target("quay.io/a/b:1"), given);
  assertEquals(given.attempts.map(({ failure, until }) => [failure, until]), [["cooling-down", 5000]]);
  assertEquals(runtime.calls.filter((call) => call.startsWith("pull")), ["pull two.example/a/b:1"]);
});

Deno.test("a mirror that starts to cool down while a repair waits for it is also skipped", async () => {
  const runtime = new MemoryRuntime({});
  let asked = 0;
  const mirrors = openMirrors({
    coolingDown: () => asked++ === 0 ? undefined : { message: "it cools down", until: 5000 },
  });
  const outcome = await repair(target("gcr.io/a/b:1"), tools(runtime, { mirrors }));
  assert(outcome.result === "failed");
  assertEquals(outcome.attempts.map(({ failure, until }) => [failure, until]), [["cooling-down", 5000]]);
  assertEquals(runtime.calls.filter((call) => call.startsWith("pull")), []);
});

const AMOUNTS: readonly (readonly [RuntimeError["kind"][], FinalReason | undefined])[] = [
  [["not-found", "not-found"], "not-in-mirror"],
  [["denied", "denied"], "denied"],
  [["not-found", "denied"], "denied"],
  [["denied", "registry-down"], undefined],
  [["not-found", "registry-down"], undefined],
  [["stalled", "not-found"], undefined],
  [["rejected", "failed"], undefined],
  [["not-found", "wrong-platform"], "wrong-platform"],
  [["not-found", "unsupported-image"], "unsupported-image"],
  [["incomplete-image", "not-found"], "incomplete-image"],
  [["not-found", "not-a-registry"], "not-a-registry"],
  [["cannot-unpack", "cannot-unpack"], "cannot-unpack"],
  [["not-found", "disk-full"], "disk-full"],
  [["cannot-unpack", "registry-error"], undefined],
  [["not-found", "proxy-refused"], undefined],
];
for (const [[first, second], reason] of AMOUNTS) {
  Deno.test(`mirrors that fail with ${first} and ${second} give ${reason ?? "another try"}`, async () => {
    const runtime = new MemoryRuntime({
      "one.example/a/b:1": new RuntimeError(first!, "first"),
      "two.example/a/b:1": new RuntimeError(second!, "second"),
    });
    const outcome = await repair(target("quay.io/a/b:1"), tools(runtime));
    assert(outcome.result === "failed");
    assertEquals(outcome.reason, reason);
    const told = outcome.message.replaceAll(
      /; (?:if it is about credentials: )?\S+ was asked without credentials/g,
      "",
    );
    const names = "one.example/a/b:1, two.example/a/b:1";
    const detail = reason === "not-in-mirror"
      ? `push it to one of ${names} (one.example: first; two.example: second)`
      : "first; second";
    assertEquals(told, reason === undefined ? "first; second" : adviceOn(reason, detail));
  });
}

Deno.test("an image for other platforms is told with those that it is there for", async () => {
  const failure = new RuntimeError("wrong-platform", "pull one.example/a/b:1: no matching manifest for linux/amd64");
  const runtime = new MemoryRuntime({ "one.example/a/b:1": failure, "two.example/a/b:1": failure });
  runtime.remotes["one.example/a/b:1"] = { digest: "sha256:1", platforms: ["linux/arm64", "linux/s390x"] };
  const outcome = await repair(target("quay.io/a/b:1"), tools(runtime));
  assert(outcome.result === "failed");
  assertEquals(outcome.reason, "wrong-platform");
  // The second mirror does not say for which platforms it has the image.
  assertEquals(outcome.attempts.map(({ message }) => message), [
    `${failure.message}; it is there for linux/arm64, linux/s390x`,
    failure.message,
  ]);
});

Deno.test("what a mirror said stands once, however many candidates it has, and in full beside it", async () => {
  const because = "pull one.example/a/b:1: dial tcp: connection refused";
  const whole = 'pull one.example/a/b:1: Get "https://one.example/v2/": dial tcp: connection refused';
  const runtime = new MemoryRuntime({ "one.example/a/b:1": new RuntimeError("registry-down", because, { whole }) });
  let asked = 0;
  const coolingDown = () =>
    asked++ < 2 ? undefined : { message: `two.example is cooling down for another 5 s (${because})`, until: 5000 };
  const outcome = await repair(target("quay.io/a/b:1"), tools(runtime, { mirrors: openMirrors({ coolingDown }) }));
  assert(outcome.result === "failed");
  assertEquals(outcome.message, `${because}; two.example is cooling down for another 5 s`);
  assertEquals(outcome.attempts.map((attempt) => attempt.whole), [whole, undefined]);
});

Deno.test("mirrors that say the same of a missing image are told together, each by its name", async () => {
  const missing = (host: string) => new RuntimeError("not-found", `pull ${host}/a/b:1: manifest unknown`);
  const runtime = new MemoryRuntime({
    "one.example/a/b:1": missing("one.example"),
    "two.example/a/b:1": missing("two.example"),
  });
  const outcome = await repair(target("quay.io/a/b:1"), tools(runtime));
  assert(outcome.result === "failed");
  assertEquals(
    outcome.message,
    "no mirror has this image: push it to one of one.example/a/b:1, two.example/a/b:1 " +
      "(one.example, two.example: manifest unknown)",
  );
});

Deno.test("an image that vanishes before it is tagged is not said to be missing in the mirror", async () => {
  const runtime = new MemoryRuntime({ "mirror.example/a/b:1": { image: image("1") } });
  runtime.beforeTag = () => runtime.images.delete("mirror.example/a/b:1");
  const outcome = await repair(target("gcr.io/a/b:1"), tools(runtime));
  assert(outcome.result === "failed");
  assertEquals([outcome.reason, outcome.message], [undefined, "tag sha256:1: no such image"]);
});

Deno.test("a mirror that denies the pull is named with the credentials that it was given", async () => {
  const runtime = new MemoryRuntime({ "mirror.example/a/b:1": new RuntimeError("denied", "pull: unauthorized") });
  const credentialsInWords = (mirror: string) => `${mirror} was asked with the credentials of /etc/gilly/auth.json`;
  const outcome = await repair(
    target("gcr.io/a/b:1"),
    tools(runtime, { mirrors: openMirrors({ credentialsInWords }) }),
  );
  assert(outcome.result === "failed");
  assertEquals(outcome.reason, "denied");
  assertEquals(
    outcome.message,
    "the mirror refuses it: pull: unauthorized; " +
      "mirror.example was asked with the credentials of /etc/gilly/auth.json",
  );
});

Deno.test("an Engine that is gone ends the repair without trying the next mirror", async () => {
  const gone = new RuntimeError("unreachable", "no answer from the Docker Engine");
  const runtime = new MemoryRuntime({ "one.example/a/b:1": gone });
  const outcome = await repair(target("quay.io/a/b:1"), tools(runtime));
  assert(outcome.result === "failed");
  assertEquals(outcome.reason, undefined);
  assertStringIncludes(outcome.message, "no answer from the Docker Engine");
  assertEquals(runtime.calls, ["inspect quay.io/a/b:1", "pull one.example/a/b:1"]);
});

Deno.test("a pull that reports success but leaves no image is a failure", async () => {
  const runtime = new MemoryRuntime({ "mirror.example/a/b:1": Promise.resolve({ digest: DIGEST, bytes: 0 }) });
  const outcome = await repair(target("gcr.io/a/b:1"), tools(runtime));
  assert(outcome.result === "failed");
  assertStringIncludes(outcome.message, "the runtime does not have it");
});

Deno.test("a tag that resolves to another image is a failure", async () => {
  const runtime = new MemoryRuntime({ "mirror.example/a/b:1": { image: image("1") } });
  runtime.tagResolvesTo = image("2");
  const outcome = await repair(target("gcr.io/a/b:1"), tools(runtime));
  assert(outcome.result === "failed");
  assertStringIncludes(outcome.message, "resolves to sha256:2");
});

Deno.test("a digest gets its own tag, and the name with the digest is verified", async () => {
  const runtime = new MemoryRuntime({
    [`mirror.example/a/b@${DIGEST}`]: { image: image("1", [DIGEST]), digest: DIGEST },
  });
  runtime.canAliasDigest = true;
  const outcome = await repair(target(`gcr.io/a/b:7@${DIGEST}`), tools(runtime));
  assert(outcome.result === "repaired");
  assertEquals(outcome.tagged, "gcr.io/a/b:gilly-abababababab");
  assertEquals(runtime.calls.at(-1), `inspect gcr.io/a/b@${DIGEST}`);
});

Deno.test("on a store that cannot alias a digest the attempt ends as digest-on-classic-store", async () => {
  const runtime = new MemoryRuntime({
    [`mirror.example/a/b@${DIGEST}`]: { image: image("1", [DIGEST]), digest: DIGEST },
  });
  const outcome = await repair(target(`gcr.io/a/b@${DIGEST}`), tools(runtime));
  assert(outcome.result === "failed");
  assertEquals(outcome.reason, "digest-on-classic-store");
});

Deno.test("nothing is tagged if a mirror serves another digest than requested", async () => {
  const other = `sha256:${"cd".repeat(32)}`;
  const runtime = new MemoryRuntime({
    [`mirror.example/a/b@${DIGEST}`]: { image: image("1", [other]), digest: other },
  });
  const outcome = await repair(target(`gcr.io/a/b@${DIGEST}`), tools(runtime));
  assert(outcome.result === "failed");
  assertEquals(outcome.attempts.map(({ failure }) => failure), ["wrong-image"]);
  assertEquals(runtime.calls.filter((call) => call.startsWith("tag")), []);
});

Deno.test("a veto on the digest leaves the name untagged", async () => {
  const runtime = new MemoryRuntime({ "mirror.example/a/b:1": { image: image("1"), digest: DIGEST } });
  const outcome = await repair(
    target("gcr.io/a/b:1"),
    tools(runtime, { veto: () => "another digest than before" }),
  );
  assert(outcome.result === "failed");
  assertEquals(outcome.message, "another digest than before");
  assertEquals(runtime.images.has("gcr.io/a/b:1"), false);
});

Deno.test("credentials go only to the mirror they belong to", async () => {
  const runtime = new MemoryRuntime({ "two.example/a/b:1": { image: image("1") } });
  const credentials = (mirror: string) =>
    Promise.resolve(mirror === "two.example" ? { username: "u", password: "p" } : undefined);
  await repair(target("quay.io/a/b:1"), tools(runtime, { mirrors: openMirrors({ credentials }) }));
  assertEquals(runtime.calls.filter((call) => call.startsWith("pull")), [
    "pull one.example/a/b:1",
    'pull two.example/a/b:1 as {"username":"u","password":"p"}',
  ]);
});

Deno.test("the stop signal ends a pull with the signal's reason, without an outcome", async () => {
  const runtime = new MemoryRuntime({ "mirror.example/a/b:1": new Promise(() => {}) });
  const stop = new AbortController();
  const ending = assertRejects(
    () => repair(target("gcr.io/a/b:1"), tools(runtime, { signal: stop.signal })),
    Error,
    "bye",
  );
  stop.abort(new Error("bye"));
  await ending;
});
