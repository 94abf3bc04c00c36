// A node with a container in every possible state, as the daemon sees it at NOW.

import { compileExclusions } from "../../lib/images/exclusions.ts";
import { type Candidate, compileRules } from "../../lib/images/rules.ts";
import { scanPods } from "../../lib/kubelet/failures.ts";
import { readPodList } from "../../lib/kubelet/pods.ts";
import { failedOutcome, type Outcome } from "../../lib/plan/outcome.ts";
import { makePlan } from "../../lib/plan/plan.ts";
import type { RetryRecord } from "../../lib/plan/retries.ts";
import type { NodeFacts } from "../../lib/status/node_state.ts";
import { listOf, waitingPod } from "./pods.ts";

/** 2026-11-01T01:11:53Z. */
export const NOW = Date.UTC(2026, 10, 1, 1, 11, 53);

const MIRROR = "docker.repo.eng.netapp.com";
const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

const PODS = [
  waitingPod("myapp", "gcr.io/sgryczan/ansible-runner:0.0.0"),
  waitingPod("cart-7d9c5b6f4d-x2x9p", "quay.io/shop/cart:1.2", { namespace: "shop", reason: "ErrImagePull" }),
  waitingPod(
    "recommendations-with-a-long-name-5f6d8c7b9-abcde",
    "gcr.io/shop/team/recommendations-service:2026-10-31",
    {
      namespace: "shop-of-the-department",
    },
  ),
  waitingPod("done", "gcr.io/a/done:1"),
  waitingPod("there", "gcr.io/a/there:1"),
  waitingPod("nobody-knows", "ghcr.io/nobody/knows:1"),
  waitingPod("always", "gcr.io/a/always:1", { imagePullPolicy: "Always" }),
  waitingPod("pinned", `gcr.io/a/pinned@${DIGEST}`),
  waitingPod("lost", "quay.io/a/lost:1"),
  waitingPod("locked", "quay.io/a/locked:1"),
  waitingPod("early", "gcr.io/a/early:1", { reason: "ContainerCreating" }),
];

const RULES = compileRules([
  { origin: "gcr.io", mirrors: [MIRROR], line: 7 },
  { origin: "quay.io", mirrors: [MIRROR, "mirror-2.example:5000/quay"], line: 8 },
]);

const at = (path: string, mirror = MIRROR): Candidate => ({
  mirror,
  location: mirror,
  repository: `${mirror}/${path.split(":")[0]}`,
  reference: `${mirror}/${path}`,
});

const failing = (path: string, failure: "registry-down" | "not-found" | "denied", message: string) =>
  failedOutcome(["mirror-2.example:5000", MIRROR].map((mirror) => (
    { candidate: at(path, mirror), failure, message: `${message} ${mirror}/${path}` }
  )));

const OUTCOMES: Readonly<Record<string, readonly [Outcome, number]>> = {
  "quay.io/shop/cart:1.2": [failing("shop/cart:1.2", "registry-down", "503 Service Unavailable from"), 12],
  "gcr.io/a/done:1": [{
    result: "repaired",
    candidate: at("a/done:1"),
    tagged: "gcr.io/a/done:1",
    id: "sha256:1",
    digest: DIGEST,
    bytes: 12_345_678,
    attempts: [],
  }, 15],
  "gcr.io/a/there:1": [{ result: "already-present", id: "sha256:2" }, 3],
  "quay.io/a/lost:1": [failing("a/lost:1", "not-found", "manifest unknown:"), 1500],
  "quay.io/a/locked:1": [failing("a/locked:1", "denied", "unauthorized:"), 600],
};

const UNDER_WAY: Readonly<Record<string, string | undefined>> = {
  "gcr.io/sgryczan/ansible-runner:0.0.0": MIRROR,
  "gcr.io/shop/team/recommendations-service:2026-10-31": undefined,
};

function retry(name: string): RetryRecord | undefined {
  const found = OUTCOMES[name];
  if (found === undefined) return undefined;
  const [last, seconds] = found;
  return { failures: last.result === "failed" ? 3 : 0, nextTryAt: NOW + 1000 * seconds, last };
}

/** Returns the daemon's facts about the node; `more` replaces some of them. */
export function nodeFacts(more: Partial<NodeFacts> = {}): NodeFacts {
  const { failures, creating } = scanPods(readPodList(listOf(...PODS)).pods);
  const plan = makePlan([...failures, ...creating], {
    registries: RULES,
    exclusions: compileExclusions({ images: [], namespaces: [] }),
    canAliasDigest: false,
    redirected: new Set(),
    retry,
    underWay: (name) => name in UNDER_WAY,
    now: NOW,
  });
  const cooldowns = new Map([
    ["mirror-2.example:5000", { until: NOW + 34_000, failures: 3, because: "503 Service Unavailable" }],
  ]);
  return {
    now: NOW,
    toWallTime: (at) => at,
    gilly: "0.1.0",
    pid: 4711,
    startedAt: NOW - 3 * 3600 * 1000,
    configFile: "/etc/gilly/config.yaml",
    last: { pass: { podCount: 12, failures, creatingCount: creating.length, plan }, at: NOW - 3000 },
    trouble: { pass: undefined, config: undefined, engine: undefined },
    repairs: { count: 2, repaired: 41, failed: 5, underWay: (name) => name in UNDER_WAY },
    retry,
    mirrors: [...new Set(RULES.mirrors.map(({ host }) => host))],
    cooldowns,
    mirrorFor: (name) => UNDER_WAY[name],
    ...more,
  };
}
