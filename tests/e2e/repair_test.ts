// End to end: the compiled program next to a real Docker Engine, real mirrors and a real kubelet.
// The tests check what the kubelet reports.

import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { readLedger } from "../../lib/record/ledger.ts";
import { missingForEndToEnd, testIfPossible } from "../support/requirements.ts";
import { stepsOf } from "../support/steps.ts";
import { Gilly } from "./gilly.ts";
import { processesUnder } from "./leftovers.ts";
import { startWorker, type TestPod, withWorker, type Worker } from "./worker.ts";

/** Original names, and their paths in the mirrors. */
const IMAGES: Readonly<Record<string, string>> = {
  "gcr.io/acme/web:1.0": "acme/web:1.0",
  "quay.io/a/b/c/d:1": "a/b/c/d:1",
  "gcr.io/acme/sidecar:2": "acme/sidecar:2",
  "gcr.io/acme/setup:3": "acme/setup:3",
  "gcr.io/acme/after-setup:3": "acme/after-setup:3",
  "k8s.gcr.io/kube-scheduler:v1.20.2": "google_containers/kube-scheduler:v1.20.2",
  "ghcr.io/acme/two-mirrors:1": "acme/two-mirrors:1",
  "gcr.io/acme/shared:1": "acme/shared:1",
};
const LATE = "gcr.io/acme/late:1";
const PRESENT = "gcr.io/acme/present:1";
/** Mirror 0 serves; mirror 1 has the same images, but is down. */
const UP = 0;
const DOWN = 1;

interface Case {
  readonly claim: string;
  readonly pods: readonly TestPod[];
  /** The container that waits for an image first. */
  readonly waiting: string;
}

const app = (image: string) => ({ name: "app", image });
const CASES: readonly Case[] = [
  {
    claim: "a gcr.io pod runs",
    pods: [{ name: "web", containers: [app("gcr.io/acme/web:1.0")] }],
    waiting: "app",
  },
  {
    claim: "a quay.io pod with a deep path runs",
    pods: [{ name: "deep", containers: [app("quay.io/a/b/c/d:1")] }],
    waiting: "app",
  },
  {
    claim: "a pod of two containers runs after its one missing image is repaired",
    pods: [{ name: "pair", containers: [app(PRESENT), { name: "sidecar", image: "gcr.io/acme/sidecar:2" }] }],
    waiting: "sidecar",
  },
  {
    claim: "a pod with an init container runs, after a repair for each stage",
    pods: [{
      name: "staged",
      initContainers: [{ name: "setup", image: "gcr.io/acme/setup:3", command: ["/bin/true"] }],
      containers: [app("gcr.io/acme/after-setup:3")],
    }],
    waiting: "setup",
  },
  {
    claim: "a k8s.gcr.io pod whose image has no namespace runs",
    pods: [{ name: "scheduler", namespace: "kube-system", containers: [app("k8s.gcr.io/kube-scheduler:v1.20.2")] }],
    waiting: "app",
  },
  {
    claim: "a pod runs from the second mirror while the first is down",
    pods: [{ name: "two-mirrors", containers: [app("ghcr.io/acme/two-mirrors:1")] }],
    waiting: "app",
  },
  {
    claim: "ten pods with the same image run",
    pods: Array.from({ length: 10 }, (_, index) => ({
      name: `shared-${index}`,
      containers: [app("gcr.io/acme/shared:1")],
    })),
    waiting: "app",
  },
];

const missing = missingForEndToEnd();

testIfPossible("gilly gets the pods of a stuck worker running", missing, async (t) => {
  await withWorker({ mirrors: 2 }, async (worker) => {
    const { step, failed } = stepsOf(t);

    const ids = new Map<string, string>();
    for (const [image, path] of Object.entries(IMAGES)) ids.set(image, await worker.seed([UP, DOWN], path));
    ids.set(PRESENT, await worker.addImage(PRESENT));
    await step("the kubelet cannot start any of the pods", () => makeWorkerStuck(worker));
    await worker.mirrors[DOWN]!.stop();

    const config = await worker.writeConfig({ registries: registriesOf(worker) });
    await step("a dry run touches nothing", () => dryRun(worker, config));
    await using gilly = new Gilly(["run", "--config", config], { logFile: `${worker.dir}/gilly.log` });
    for (const { claim, pods } of CASES) {
      await step(claim, async () => void await Promise.all(pods.map(({ name }) => worker.waitForRunning(name))));
    }
    await step("every original name has the image that the mirror serves", async () => {
      for (const [image, id] of ids) assertEquals(await worker.imageId(image), id, image);
    });
    await step("the image that ten pods share is pulled once", async () => {
      assertEquals(await worker.pullsFrom(UP, "acme/shared"), 1);
      assertEquals(gilly.journal.filter((line) => /\[PullImage\]\s+pulling .*acme\/shared:1/.test(line)).length, 1);
    });
    await step("the journal reports a repair in the words and the order that operators know", () => {
      assertEquals(missingSentence(gilly.journal, sentencesOfFirstRepair(worker)), undefined);
      return Promise.resolve();
    });
    await step("SIGTERM ends it within two seconds with exit code 0", async () => {
      const { code, milliseconds } = await gilly.end("SIGTERM");
      assertEquals(code, 0);
      assertLess(milliseconds, 2000);
    });
    await step("the ledger has one line for each repair", () => checkLedger(worker, ids));
    await step(
      "a single pass repairs a later pod and exits with code 0",
      () => repairLatePod(worker, config),
    );
    assertEquals(failed, [], "steps that failed");
  });
});

testIfPossible("a stopped worker leaves nothing behind, even after its engine crashed", missing, async () => {
  const worker = await startWorker();
  try {
    await worker.addImage(PRESENT);
    await worker.addPod({ name: "present", containers: [app(PRESENT)] });
    await worker.waitForRunning("present");
    await worker.killEngine();
  } finally {
    await worker.stop();
  }
  assertEquals(await processesUnder(worker.dir), []);
  assertEquals((await Deno.readTextFile("/proc/self/mounts")).includes(worker.dir), false, "mounts");
  await assertRejects(() => Deno.stat(worker.dir), Deno.errors.NotFound);
});

async function makeWorkerStuck(worker: Worker): Promise<void> {
  const every = CASES.flatMap(({ pods, waiting }) => pods.map((pod) => ({ pod, waiting })));
  await Promise.all(every.map(({ pod }) => worker.addPod(pod)));
  await Promise.all(
    every.map(({ pod, waiting }) => worker.waitForReason(pod.name, waiting, ["ErrImagePull", "ImagePullBackOff"])),
  );
}

async function dryRun(worker: Worker, config: string): Promise<void> {
  await using gilly = new Gilly(["once", "--dry-run", "--config", config], { logFile: `${worker.dir}/dry-run.log` });
  assertEquals(await gilly.ended(), 0);
  assertEquals(gilly.journal.filter((line) => /PullImage|TagImage/.test(line)), []);
  assertEquals(await worker.imageId("gcr.io/acme/web:1.0"), undefined);
  assertEquals(await worker.pullsFrom(UP, "acme/web"), 0);
  await assertRejects(() => Deno.stat(worker.ledgerFile), Deno.errors.NotFound);
}

async function repairLatePod(worker: Worker, config: string): Promise<void> {
  const id = await worker.seed(UP, "acme/late:1");
  await worker.addPod({ name: "late", containers: [app(LATE)] });
  await worker.waitForReason("late", "app", ["ErrImagePull", "ImagePullBackOff"]);
  await using gilly = new Gilly(["once", "--config", config], { logFile: `${worker.dir}/once.log` });
  assertEquals(await gilly.ended(), 0);
  assertEquals(await worker.imageId(LATE), id);
  await worker.waitForRunning("late");
}

function registriesOf(worker: Worker): Record<string, string | string[]> {
  const [up, down] = [worker.mirrorHost(UP), worker.mirrorHost(DOWN)];
  return { "gcr.io": up, "quay.io": up, "k8s.gcr.io": `${up}/google_containers`, "ghcr.io": [down, up] };
}

/** What the journal says about the gcr.io pod, from the connection to the tag. */
function sentencesOfFirstRepair(worker: Worker): string[] {
  const pulled = `${worker.mirrorHost(UP)}/acme/web:1.0`;
  const pod = `web-${worker.kubelet.nodeName}`;
  return [
    "[NewConnection]  Established connection to kubelet",
    `[Main]  host: ${worker.kubelet.url}`,
    "[GetPods]  Pulled 16 running pods.",
    `[Validate]  Detected pod ${pod} in Pending state.`,
    `[Validate]  Detected container app in pod ${pod} status is ImagePullBackOff`,
    `[Validate]  Detected container app in pod ${pod} reason: ImagePullBackOff`,
    "[Validate]  Checked 16 Pods, found 16 waiting",
    "[Main]  Checks done. Sleeping for awhile",
    "[ReplaceImageRegistry]  got chunks: [gcr.io acme web:1.0]",
    `[PullImage]  pulling image: ${pulled}`,
    `[TagImage] tagged image: ${pulled} to gcr.io/acme/web:1.0`,
  ];
}

/** Returns the first sentence that does not come after the one before it, or undefined. */
function missingSentence(journal: readonly string[], sentences: readonly string[]): string | undefined {
  // The kubelet alternates between the two, so either may be logged.
  const lines = journal.map((line) => line.replace(/ErrImagePull$/, "ImagePullBackOff"));
  for (const sentence of sentences) {
    const found = lines.findIndex((line) => line.endsWith(sentence));
    if (found < 0) return sentence;
    lines.splice(0, found + 1);
  }
  return undefined;
}

async function checkLedger(worker: Worker, ids: ReadonlyMap<string, string>): Promise<void> {
  const { entries: all, unreadable } = await readLedger(worker.ledgerFile);
  assertEquals(unreadable, 0);
  // A busy kubelet starts a pod so late that the next try finds the repaired image.
  const entries = all.filter(({ result, id, image }) => result !== "already-present" || id !== ids.get(image));
  assertEquals(entries.filter(({ result }) => result !== "repaired"), []);
  assertEquals(entries.map(({ image }) => image).sort(), Object.keys(IMAGES).sort());
  for (const { image, id, tagged, mirror, candidate } of entries) {
    assertEquals({ id, tagged, mirror }, { id: ids.get(image), tagged: image, mirror: worker.mirrorHost(UP) });
    assertEquals(candidate, `${worker.mirrorHost(UP)}/${IMAGES[image]}`);
  }
  const shared = entries.find(({ image }) => image === "gcr.io/acme/shared:1");
  assertEquals(shared?.pods.length, 10);
}
