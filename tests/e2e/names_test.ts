// End to end: every kind of image name that a pod can have. On an Engine with the classic store,
// each reason why an image cannot be repaired, as the real kubelet causes it; on one with the
// containerd store, digests, which can be repaired.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readLedger } from "../../lib/record/ledger.ts";
import { missingForEndToEnd, testIfPossible } from "../support/requirements.ts";
import { stepsOf } from "../support/steps.ts";
import { missingForCurrentEngine, startCurrentEngine } from "./current_engine.ts";
import { callEngine } from "./engine.ts";
import { mistaking, startFaultyRegistry } from "./faulty_registry.ts";
import { Gilly, runGilly } from "./gilly.ts";
import { descriptorOf, putIndex } from "./manifests.ts";
import { type TestContainer, type TestPod, withWorker, type Worker } from "./worker.ts";

/** The mirror of most origins, and one that requires credentials. */
const UP = 0;
const GUARDED = 1;
const PULL_FAILED = ["ErrImagePull", "ImagePullBackOff"];

interface ReasonCase {
  /** The pod's name. */
  readonly name: string;
  readonly image: string;
  readonly container?: Partial<TestContainer>;
  readonly pod?: Partial<TestPod>;
  /** The waiting reasons that the kubelet reports. */
  readonly waiting: readonly string[];
  readonly reason: string;
  /** What the operator is told to do. */
  readonly advice: string;
  /** True if the mirror's answer decides, so that a plan still lists a repair. */
  readonly isTried?: boolean;
}

const UNKNOWN_DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

const REASONS: readonly ReasonCase[] = [
  {
    name: "policy-always",
    image: "gcr.io/acme/always:1",
    container: { imagePullPolicy: "Always" },
    waiting: PULL_FAILED,
    reason: "policy-always",
    advice: "even if the image is here: set imagePullPolicy: IfNotPresent",
  },
  {
    name: "digest",
    image: `gcr.io/acme/pinned@${UNKNOWN_DIGEST}`,
    waiting: PULL_FAILED,
    reason: "digest-on-classic-store",
    advice: "use a tag, the containerd image store, or the registry proxy (gilly-setup --proxy)",
  },
  {
    name: "invalid",
    image: "gcr.io/acme/UPPER:1",
    waiting: ["InvalidImageName"],
    reason: "invalid-reference",
    advice: "the kubelet itself cannot parse this name: fix the manifest",
  },
  {
    name: "no-rule",
    image: "unmapped.example/a/b:1",
    waiting: PULL_FAILED,
    reason: "no-rule",
    advice: 'no rule maps unmapped.example: add "unmapped.example: MIRROR" under registries',
  },
  {
    name: "excluded-image",
    image: "gcr.io/private/app:1",
    waiting: PULL_FAILED,
    reason: "excluded",
    advice: 'exclude.images has "gcr.io/private/*": change that line',
  },
  {
    name: "excluded-namespace",
    image: "gcr.io/acme/app:1",
    pod: { namespace: "untouched" },
    waiting: PULL_FAILED,
    reason: "excluded",
    advice: 'exclude.namespaces has "untouched": change that line',
  },
  {
    name: "opted-out",
    image: "gcr.io/acme/app:2",
    pod: { annotations: { "gilly.io/repair": "false" } },
    waiting: PULL_FAILED,
    reason: "excluded",
    advice: 'the pod has the annotation gilly.io/repair: "false"',
  },
  {
    name: "missing",
    image: "gcr.io/acme/missing:1",
    waiting: PULL_FAILED,
    reason: "not-in-mirror",
    advice: "no mirror has this image: push it as 127.0.0.1:",
    isTried: true,
  },
  {
    name: "denied",
    image: "guarded.example/a/b:1",
    waiting: PULL_FAILED,
    reason: "denied",
    advice: "the mirror refuses it: pull 127.0.0.1:",
    isTried: true,
  },
];
const NEVER = "gcr.io/acme/never:1";

testIfPossible("every reason against a repair is reported to the operator", missingForEndToEnd(), async (t) => {
  await withWorker({ mirrors: 2, guarded: GUARDED }, (worker) => checkReasons(t, worker));
});

async function checkReasons(t: Deno.TestContext, worker: Worker): Promise<void> {
  const { step, failed } = stepsOf(t);
  await worker.seed(UP, "acme/never:1");
  await step("the kubelet fails each pod for its own reason", () => bringAboutEveryReason(worker));
  const config = await worker.writeConfig({
    registries: { "gcr.io": worker.mirrorHost(UP), "guarded.example": worker.mirrorHost(GUARDED) },
    exclude: { images: ["gcr.io/private/*"], namespaces: ["untouched"] },
    logging: { level: "debug", format: "json" },
  });
  const plan = await runGilly(["once", "--dry-run", "--config", config]);
  await using gilly = new Gilly(["run", "--config", config], { logFile: `${worker.dir}/gilly.log` });
  for (const { name, image, reason, advice, isTried } of REASONS) {
    await step(`${reason} (${name}): planned, reported with its advice, and the image stays absent`, async () => {
      const line = await gilly.waitForLine(new RegExp(`"cannot repair ${image} for .*${name}-\\S+: ${reason}: `));
      assertStringIncludes(JSON.parse(line).message, advice);
      const planned = plan.stdout.split("\n").find((text) => text.includes(` ${image} for `)) ?? "";
      assertMatch(planned, isTried ? /^repair / : /^skip /);
      if (!isTried) assertStringIncludes(planned, `: ${reason}: `);
      if (!isTried) assertStringIncludes(planned, advice);
      assertEquals(await worker.imageId(image), undefined);
    });
  }
  await step("ErrImageNeverPull is repaired", async () => void await worker.waitForRunning("never"));
  await step("a lasting refusal is logged once, and by later passes only at level debug", async () => {
    for (const { image } of REASONS.filter(({ isTried }) => !isTried)) {
      await gilly.waitForLine(new RegExp(`"level":"debug".*"cannot repair ${image} `));
      const said = gilly.journal.filter((line) => line.includes(`"cannot repair ${image} `));
      assertEquals(said.filter((line) => !line.includes('"level":"debug"')).length, 1, image);
    }
  });
  await gilly.end("SIGTERM");
  await step("the ledger has each reason once", async () => {
    const { entries } = await readLedger(worker.ledgerFile);
    for (const { image, reason } of REASONS) {
      assertEquals(entries.filter((entry) => entry.image === image).map((entry) => entry.reason), [reason], image);
    }
  });
  assertEquals(failed, [], "steps that failed");
}

async function bringAboutEveryReason(worker: Worker): Promise<void> {
  for (const { name, image, pod, container } of REASONS) {
    await worker.addPod({ name, containers: [{ name: "app", image, ...container }], ...pod });
  }
  await worker.addPod({ name: "never", containers: [{ name: "app", image: NEVER, imagePullPolicy: "Never" }] });
  await Promise.all([
    ...REASONS.map(({ name, waiting }) => worker.waitForReason(name, "app", waiting)),
    worker.waitForReason("never", "app", "ErrImageNeverPull"),
  ]);
}

const needsOfDigests = [...missingForEndToEnd(), ...missingForCurrentEngine()];

testIfPossible("digests are repaired on an Engine with the containerd image store", needsOfDigests, async (t) => {
  await withWorker({ startEngine: startCurrentEngine }, (worker) => checkDigests(t, worker));
});

async function checkDigests(t: Deno.TestContext, worker: Worker): Promise<void> {
  const { step, failed } = stepsOf(t);
  const host = worker.mirrorHost(UP);
  await using stack = new AsyncDisposableStack();
  const mistaken = stack.adopt(startFaultyRegistry(host, mistaking("other")), (registry) => registry.stop());
  const pods = await seedDigests(worker);
  await Promise.all(pods.map(({ name, image }) => worker.addPod({ name, containers: [{ name: "app", image }] })));
  await Promise.all(pods.map(({ name }) => worker.waitForReason(name, "app", PULL_FAILED)));
  const config = await worker.writeConfig({ registries: { "gcr.io": host, "mistaken.example": mistaken.host } });
  await using gilly = new Gilly(["run", "--config", config], { logFile: `${worker.dir}/gilly.log` });
  for (const { name, image, repository, digest } of pods.filter(({ isServed }) => isServed)) {
    await step(`${name}: the pod runs, and the name with the digest resolves`, async () => {
      await worker.waitForRunning(name);
      const found = JSON.parse(await callEngine(worker.engine, "GET", `/images/${repository}@${digest}/json`));
      const tag = `${repository}:gilly-${digest.slice("sha256:".length, "sha256:".length + 12)}`;
      assertEquals([found.Id, found.RepoTags.includes(tag)], [digest, true]);
      await gilly.waitForLine(new RegExp(`\\[TagImage\\] tagged image: \\S+@${digest} to ${tag}$`));
      const { entries } = await readLedger(worker.ledgerFile);
      const recorded = entries.filter((entry) => entry.image === image);
      assertEquals(recorded.map((entry) => [entry.result, entry.digest, entry.tagged]), [["repaired", digest, tag]]);
    });
  }
  await step("a mirror that serves another digest is an error, and nothing is tagged", async () => {
    const { image, repository } = pods.find(({ isServed }) => !isServed)!;
    const line = await gilly.waitForLine(new RegExp(`cannot repair ${image} for default/mistaken-\\S+: `));
    assertMatch(line, /unexpected commit digest sha256:[0-9a-f]{12}…, expected sha256:[0-9a-f]{12}…/);
    const images = await callEngine(worker.engine, "GET", "/images/json");
    assert(!images.includes(repository) && !images.includes(mistaken.host), images);
  });
  assertEquals(failed, [], "steps that failed");
}

interface DigestPod {
  readonly name: string;
  readonly image: string;
  readonly repository: string;
  readonly digest: string;
  /** False when its mirror serves something else. */
  readonly isServed: boolean;
}

async function seedDigests(worker: Worker): Promise<DigestPod[]> {
  const host = worker.mirrorHost(UP);
  for (const image of ["acme/pinned:1", "acme/both:1", "acme/multi:amd64", "acme/multi:arm64"]) {
    await worker.seed(UP, image);
  }
  for (const tag of ["1", "other"]) await worker.seed(UP, `acme/mistaken:${tag}`);
  const { digest: pinned } = await descriptorOf(host, "acme/pinned", "1");
  const { digest: both } = await descriptorOf(host, "acme/both", "1");
  const { digest: mistaken } = await descriptorOf(host, "acme/mistaken", "1");
  const architectures = ["amd64", "arm64"].map(async (architecture) => (
    { ...await descriptorOf(host, "acme/multi", architecture), architecture }
  ));
  const multi = await putIndex(host, "acme/multi", "1", await Promise.all(architectures));
  const pod = (name: string, repository: string, digest: string, tag = "", isServed = true): DigestPod => (
    { name, image: `${repository}${tag}@${digest}`, repository, digest, isServed }
  );
  return [
    pod("by-digest", "gcr.io/acme/pinned", pinned),
    pod("by-tag-and-digest", "gcr.io/acme/both", both, ":1"),
    pod("by-the-digest-of-an-index", "gcr.io/acme/multi", multi),
    pod("mistaken", "mistaken.example/acme/mistaken", mistaken, "", false),
  ];
}
