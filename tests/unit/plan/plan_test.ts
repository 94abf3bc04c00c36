import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { compileExclusions } from "../../../lib/images/exclusions.ts";
import { parseReference } from "../../../lib/images/reference.ts";
import { compileRules } from "../../../lib/images/rules.ts";
import { scanPods } from "../../../lib/kubelet/failures.ts";
import { readPodList } from "../../../lib/kubelet/pods.ts";
import {
  effectivePolicy,
  isRefusal,
  localName,
  makePlan,
  type PlanContext,
  planImage,
} from "../../../lib/plan/plan.ts";
import type { RetryRecord } from "../../../lib/plan/retries.ts";
import { listOf, waitingPod } from "../../fakes/pods.ts";

const NOW = 1_000_000;
const DIGEST = `sha256:${"ab".repeat(32)}`;

function context(changes: Partial<PlanContext> = {}): PlanContext {
  return {
    registries: compileRules([
      { origin: "gcr.io", mirrors: ["mirror.example"], line: 3 },
      { origin: "quay.io", mirrors: ["mirror.example", "mirror-2.example:5000/quay"], line: 4 },
    ]),
    exclusions: compileExclusions({ images: ["gcr.io/private/**"], namespaces: ["kube-*"] }),
    canAliasDigest: undefined,
    redirected: new Set(),
    retry: () => undefined,
    underWay: () => false,
    now: NOW,
    ...changes,
  };
}

const failuresOf = (...pods: unknown[]) => scanPods(readPodList(listOf(...pods)).pods).failures;

Deno.test("ten pods that wait for one image are one repair", () => {
  const pods = Array.from({ length: 10 }, (_, index) => waitingPod(`pod-${index}`, "gcr.io/a/b:1"));
  const plan = makePlan(failuresOf(...pods), context());
  assertEquals(plan.repairs.length, 1);
  assertEquals(plan.repairs[0]?.failures.length, 10);
  assertEquals(plan.repairs[0]?.candidates.map((it) => it.reference), ["mirror.example/a/b:1"]);
});

const REFUSALS: readonly (readonly [string, ReturnType<typeof waitingPod>, string, string])[] = [
  [
    "Always",
    waitingPod("p", "gcr.io/a/b:1", { imagePullPolicy: "Always" }),
    "policy-always",
    "even if the image is here: set imagePullPolicy: IfNotPresent",
  ],
  [
    "latest, which gets Always if the manifest sets no policy",
    waitingPod("p", "gcr.io/a/b", { imagePullPolicy: "Always" }),
    "policy-always",
    "IfNotPresent, or pin a tag if the manifest sets no policy",
  ],
  ["a registry without a rule", waitingPod("p", "ghcr.io/a/b:1"), "no-rule", '"ghcr.io: MIRROR" under registries'],
  ["a mirror's own image", waitingPod("p", "mirror.example/a/b:1"), "no-rule", "is itself a mirror"],
  ["an excluded image", waitingPod("p", "gcr.io/private/x/y:1"), "excluded", '"gcr.io/private/**"'],
  ["an excluded namespace", waitingPod("p", "gcr.io/a/b:1", { namespace: "kube-system" }), "excluded", '"kube-*"'],
  ["a name that cannot be parsed", waitingPod("p", "gcr.io/A/b:1"), "invalid-reference", "must be lowercase"],
  ["an image ID", waitingPod("p", DIGEST), "invalid-reference", "an image ID is not a name in a registry"],
  [
    "InvalidImageName",
    waitingPod("p", "gcr.io/a/b:1", { reason: "InvalidImageName" }),
    "invalid-reference",
    "manifest",
  ],
];
for (const [what, pod, reason, advice] of REFUSALS) {
  Deno.test(`${what} is skipped as ${reason}, with advice`, () => {
    const plan = makePlan(failuresOf(pod), context());
    assertEquals(plan.repairs, []);
    assertEquals(plan.skips.map((skip) => skip.reason), [reason]);
    assertStringIncludes(plan.skips[0]!.advice, advice);
  });
}

Deno.test("a pod that opted out is excluded, and another pod with the same image is still repaired", () => {
  const optedOut = waitingPod("quiet", "gcr.io/a/b:1");
  optedOut.metadata.annotations = { "gilly.io/repair": "false" };
  const plan = makePlan(failuresOf(optedOut, waitingPod("loud", "gcr.io/a/b:1")), context());
  assertEquals(plan.skips.map(({ reason }) => reason), ["excluded"]);
  assertEquals(plan.repairs[0]?.failures.map(({ pod }) => pod.name), ["loud"]);
});

Deno.test("a digest is refused on the classic store, and planned on the containerd store or an unknown one", () => {
  const failures = failuresOf(waitingPod("p", `gcr.io/a/b@${DIGEST}`));
  const plan = makePlan(failures, context({ canAliasDigest: false }));
  assertEquals(plan.skips[0]?.reason, "digest-on-classic-store");
  for (const canAliasDigest of [true, undefined]) {
    const { repairs } = makePlan(failures, context({ canAliasDigest }));
    assertEquals(repairs[0]?.candidates[0]?.reference, `mirror.example/a/b@${DIGEST}`);
  }
});

Deno.test("where pulls are led to the registry proxy, the advice says who knows more", () => {
  const failures = failuresOf(
    waitingPod("always", "gcr.io/a/b:1", { imagePullPolicy: "Always" }),
    waitingPod("digest", `gcr.io/a/b@${DIGEST}`),
    waitingPod("elsewhere", "quay.io/a/b:1", { imagePullPolicy: "Always" }),
  );
  const { skips } = makePlan(failures, context({ canAliasDigest: false, redirected: new Set(["gcr.io"]) }));
  const led = "pulls of gcr.io are led to the registry proxy, which can serve it: " +
    "journalctl -u gilly-proxy says what it did";
  assertEquals(skips.map(({ reason }) => reason), ["policy-always", "digest-on-classic-store", "policy-always"]);
  assertEquals(skips.slice(0, 2).map(({ advice }) => advice), [led, led]);
  assertStringIncludes(skips[2]!.advice, "or turn on the registry proxy (gilly-setup --proxy)");
});

Deno.test("an image that is being repaired, or not yet due, is not started again", () => {
  const failures = failuresOf(waitingPod("p", "gcr.io/a/b:1"));
  const record: RetryRecord = {
    failures: 1,
    nextTryAt: NOW + 1,
    last: { result: "failed", reason: undefined, message: "", attempts: [] },
  };
  const early = makePlan(failures, context({ retry: () => record }));
  assertEquals([early.repairs.length, early.waits.length], [0, 1]);
  const due = makePlan(failures, context({ retry: () => record, now: record.nextTryAt }));
  assertEquals([due.repairs.length, due.waits.length], [1, 0]);
  const busy = makePlan(failures, context({ underWay: (name) => name === "gcr.io/a/b:1" }));
  assertEquals([busy.repairs.length, busy.repairing.length], [0, 1]);
});

Deno.test("name:tag@digest is planned by its digest", () => {
  const planned = planImage(`gcr.io/a/b:1@${DIGEST}`, context());
  assert(!isRefusal(planned));
  assertEquals(planned.name, `gcr.io/a/b@${DIGEST}`);
  assertEquals(planned.candidates[0]?.reference, `mirror.example/a/b@${DIGEST}`);
});

Deno.test("the name looked up is normalized and always has a tag or a digest", () => {
  assertEquals(localName(parseReference("nginx")), "docker.io/library/nginx:latest");
  assertEquals(localName(parseReference("gcr.io/pause:3")), "gcr.io/pause:3");
});

const POLICIES: readonly (readonly [string, string | undefined, string])[] = [
  ["gcr.io/a/b:1", undefined, "IfNotPresent"],
  ["gcr.io/a/b:latest", undefined, "Always"],
  ["gcr.io/a/b", undefined, "Always"],
  [`gcr.io/a/b@${DIGEST}`, undefined, "IfNotPresent"],
  [`gcr.io/a/b:latest@${DIGEST}`, undefined, "Always"],
  ["gcr.io/a/b:latest", "IfNotPresent", "IfNotPresent"],
  ["gcr.io/a/b", "Never", "Never"],
  ["gcr.io/a/b:1", "Always", "Always"],
  ["gcr.io/a/b:1", "Sometimes", "IfNotPresent"],
];
for (const [image, policy, expected] of POLICIES) {
  Deno.test(`the policy of ${image} with ${policy ?? "none"} in the manifest is ${expected}`, () => {
    assertEquals(effectivePolicy(policy, parseReference(image)), expected);
  });
}
