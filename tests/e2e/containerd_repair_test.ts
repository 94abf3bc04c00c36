// End to end on a worker whose kubelet uses containerd by CRI: the compiled program, real mirrors and
// a real kubelet. The tests check what the kubelet reports.

import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import type { Finding } from "../../lib/check/finding.ts";
import { readLedger } from "../../lib/record/ledger.ts";
import type { NodeState } from "../../lib/status/node_state.ts";
import { freePort } from "../support/ports.ts";
import { GILLY, missingForEndToEnd, testIfPossible } from "../support/requirements.ts";
import { stepsOf } from "../support/steps.ts";
import { REGISTRY_USER } from "./engine.ts";
import { type FaultyRegistry, startFaultyRegistry } from "./faulty_registry.ts";
import { Gilly, runGilly } from "./gilly.ts";
import { processesUnder } from "./leftovers.ts";
import { isRunning, waitingReason } from "./pod_state.ts";
import { busyboxLayer, putImage, randomLayer } from "./registry_images.ts";
import { type TestContainer, type TestPod, withWorker, type Worker } from "./worker.ts";

/** The mirror of most origins, and one that requires credentials. */
const UP = 0;
const GUARDED = 1;
const PULL_FAILED = ["ErrImagePull", "ImagePullBackOff"];

/** Original names, the mirrors that have them, and their paths there. */
const IMAGES: Readonly<Record<string, readonly [mirror: number, path: string]>> = {
  "gcr.io/acme/web:1.0": [UP, "acme/web:1.0"],
  "quay.io/a/b/c/d:1": [UP, "a/b/c/d:1"],
  "gcr.io/acme/setup:3": [UP, "acme/setup:3"],
  "gcr.io/acme/after-setup:3": [UP, "acme/after-setup:3"],
  "k8s.gcr.io/kube-scheduler:v1.20.2": [UP, "google_containers/kube-scheduler:v1.20.2"],
  "gcr.io/acme/shared:1": [UP, "acme/shared:1"],
  "gcr.io/acme/never:1": [UP, "acme/never:1"],
  "ghcr.io/acme/two-mirrors:1": [UP, "acme/two-mirrors:1"],
  "guarded.example/acme/secret:1": [GUARDED, "acme/secret:1"],
  "gcr.io/acme/kept:1": [UP, "acme/kept:1"],
};
const KEPT = "gcr.io/acme/kept:1";
const ALWAYS = "gcr.io/acme/always:1";
const SLOW = "slow.example/acme/slow:1";
const PINNED = "acme/pinned";

interface Case {
  readonly claim: string;
  readonly pods: readonly TestPod[];
  /** The waiting reasons that the kubelet reports first, of the first container that waits. */
  readonly waiting?: { readonly container?: string; readonly reasons?: readonly string[] };
}

const pod = (name: string, image: string, more: Partial<TestContainer> = {}): TestPod => (
  { name, containers: [{ name: "app", image, ...more }] }
);

/** `pinned` is the digest of an image of gcr.io. */
const casesWith = (pinned: string): readonly Case[] => [
  { claim: "a gcr.io pod runs", pods: [pod("web", "gcr.io/acme/web:1.0")] },
  { claim: "a quay.io pod with a deep path runs", pods: [pod("deep", "quay.io/a/b/c/d:1")] },
  {
    claim: "a pod with an init container runs, after a repair for each stage",
    pods: [{
      ...pod("staged", "gcr.io/acme/after-setup:3"),
      initContainers: [{ name: "setup", image: "gcr.io/acme/setup:3", command: ["/bin/true"] }],
    }],
    waiting: { container: "setup" },
  },
  {
    claim: "a k8s.gcr.io pod whose image has no namespace runs",
    pods: [{ ...pod("scheduler", "k8s.gcr.io/kube-scheduler:v1.20.2"), namespace: "kube-system" }],
  },
  {
    claim: "ten pods with the same image run",
    pods: Array.from({ length: 10 }, (_, index) => pod(`shared-${index}`, "gcr.io/acme/shared:1")),
  },
  { claim: "a pod whose image is pinned by its digest runs", pods: [pod("pinned", `gcr.io/${PINNED}@${pinned}`)] },
  {
    claim: "a pod with imagePullPolicy Never runs",
    pods: [pod("never", "gcr.io/acme/never:1", { imagePullPolicy: "Never" })],
    waiting: { reasons: ["ErrImageNeverPull"] },
  },
  {
    claim: "a pod runs from a mirror that requires credentials",
    pods: [pod("guarded", "guarded.example/acme/secret:1")],
  },
  {
    claim: "a pod runs from the second mirror while the first is down",
    pods: [pod("two-mirrors", "ghcr.io/acme/two-mirrors:1")],
  },
];

const needs = missingForEndToEnd("containerd");

testIfPossible("gilly gets the pods of a worker with containerd running", needs, async (t) => {
  let dir = "";
  await withWorker({ mirrors: 2, guarded: GUARDED, runtime: "containerd" }, async (worker) => {
    dir = worker.dir;
    const { step, failed } = stepsOf(t);
    await using slow = new HeldMirror(worker.mirrorHost(UP));
    const { ids, cases } = await seed(worker);
    const config = await writeConfig(worker, slow);
    const env = { RUNTIME_DIRECTORY: worker.dir };
    const daemon = (logFile: string) =>
      new Gilly(["run", "--config", config], {
        logFile: `${worker.dir}/${logFile}`,
        launch: { program: GILLY, args: [], env },
      });

    await step("the kubelet cannot start any of the pods", () => makeWorkerStuck(worker, cases));
    await using gilly = daemon("gilly.log");
    for (const { claim, pods } of cases) {
      await step(claim, async () => void await Promise.all(pods.map(({ name }) => worker.waitForRunning(name))));
    }
    await step("every original name has the image that its mirror serves", async () => {
      for (const [image, id] of ids) assertEquals([image, await worker.imageId(image)], [image, id]);
    });
    await step("the image that ten pods share is pulled once", async () => {
      assertEquals(await worker.pullsFrom(UP, "acme/shared"), 1);
    });
    await step("an image with imagePullPolicy Always is refused by name", () => checkAlways(worker));
    await step("a pod runs though containerd restarted in the middle of the pull", () => restart(worker, slow));
    await step("a config that names docker is found by check", () => checkConfigOfDocker(worker));
    await step("with Always, a pod runs through the registry proxy", () => runThroughProxy(worker));
    await step("SIGTERM ends it with exit code 0", async () => assertEquals((await gilly.end("SIGTERM")).code, 0));
    await using second = daemon("second.log");
    await step("a kept image that the kubelet collects is brought back", () => collect(worker, second, ids.get(KEPT)!));
    assertEquals(failed, [], "steps that failed");
  });
  assertEquals(await processesUnder(dir), [], "processes that are left");
  assertEquals((await Deno.readTextFile("/proc/self/mounts")).includes(dir), false, "mounts that are left");
  await assertRejects(() => Deno.stat(dir), Deno.errors.NotFound);
});

async function seed(
  worker: Worker,
): Promise<{ readonly ids: ReadonlyMap<string, string>; readonly cases: readonly Case[] }> {
  const ids = new Map<string, string>();
  for (const [image, [mirror, path]] of Object.entries(IMAGES)) ids.set(image, await worker.seed(mirror, path));
  const registry = { host: worker.mirrorHost(UP) };
  const base = await busyboxLayer();
  const pinned = await putImage(registry, PINNED, "1", [base, await randomLayer(1000)]);
  await putImage(registry, "acme/slow", "1", [base, await randomLayer(HeldMirror.LARGE)]);
  return { ids, cases: casesWith(pinned) };
}

async function makeWorkerStuck(worker: Worker, cases: readonly Case[]): Promise<void> {
  const every = cases.flatMap(({ pods, waiting }) => pods.map((pod) => ({ pod, ...waiting })));
  await Promise.all(every.map(({ pod }) => worker.addPod(pod)));
  await worker.addPod(pod("always", ALWAYS, { imagePullPolicy: "Always" }));
  await Promise.all([
    ...every.map(({ pod: { name }, container = "app", reasons = PULL_FAILED }) =>
      worker.waitForReason(name, container, reasons)
    ),
    worker.waitForReason("always", "app", PULL_FAILED),
  ]);
}

async function writeConfig(worker: Worker, slow: HeldMirror): Promise<string> {
  const [up, guarded] = [worker.mirrorHost(UP), worker.mirrorHost(GUARDED)];
  const authFile = `${worker.dir}/auth.json`;
  await Deno.writeTextFile(authFile, JSON.stringify({ auths: { [guarded]: REGISTRY_USER } }), { mode: 0o600 });
  return await worker.writeConfig({
    registries: {
      "gcr.io": up,
      "quay.io": up,
      "k8s.gcr.io": `${up}/google_containers`,
      "ghcr.io": [`127.0.0.1:${freePort()}`, up],
      "guarded.example": guarded,
      "slow.example": slow.host,
    },
    mirrors: { [guarded]: { authFile } },
    keep: [KEPT],
    repair: { backoff: { initial: "500ms", max: "2s" } },
  });
}

/** A mirror that sends half of a large layer, and the rest of it once it is released. */
class HeldMirror implements AsyncDisposable {
  /** Bytes of a layer that is large. */
  static readonly LARGE = 5_000_000;
  readonly #registry: FaultyRegistry;
  readonly #begun = Promise.withResolvers<void>();
  readonly #released = Promise.withResolvers<void>();

  constructor(target: string) {
    this.#registry = startFaultyRegistry(target, async ({ method, url }, forward) => {
      const whole = await forward();
      const size = Number(whole.headers.get("Content-Length"));
      if (method === "HEAD" || !url.includes("/blobs/") || size < HeldMirror.LARGE) return whole;
      const bytes = new Uint8Array(await whole.arrayBuffer());
      const half = bytes.byteLength / 2;
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(bytes.subarray(0, half)),
        pull: async (controller) => {
          this.#begun.resolve();
          await this.#released.promise;
          controller.enqueue(bytes.subarray(half));
          controller.close();
        },
      });
      return new Response(body, { status: whole.status, headers: whole.headers });
    });
  }

  get host(): string {
    return this.#registry.host;
  }

  /** Resolves once half of a large layer was taken. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  release(): void {
    this.#released.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    await this.#registry.stop();
  }
}

async function checkAlways(worker: Worker): Promise<void> {
  const { code, stdout, stderr } = await runGilly(["status", "--json"], {
    program: GILLY,
    args: [],
    env: { RUNTIME_DIRECTORY: worker.dir },
  });
  assertEquals(code, 0, stderr);
  const { containers } = JSON.parse(stdout) as NodeState;
  const about = containers.filter(({ image }) => image === ALWAYS);
  assertEquals(about.map(({ state, reason }) => [state, reason]), [["unrepairable", "policy-always"]]);
  const { entries } = await readLedger(worker.ledgerFile);
  assertEquals(
    entries.filter(({ image }) => image === ALWAYS).map(({ result, reason }) => [result, reason]),
    [["unrepairable", "policy-always"]],
  );
  assertEquals(await worker.imageId(ALWAYS), undefined);
}

async function restart(worker: Worker, slow: HeldMirror): Promise<void> {
  await worker.addPod(pod("slow", SLOW));
  await slow.begun;
  await worker.runtime.stop();
  await worker.runtime.start();
  slow.release();
  await worker.waitForRunning("slow");
  assertEquals((await worker.waitForRunning("web")).status?.containerStatuses?.[0]?.restartCount, 0);
}

/** No pod uses the image. The daemon is a new one, whose journal tells of no repair yet. */
async function collect(worker: Worker, gilly: Gilly, id: string): Promise<void> {
  await gilly.waitForLine(/Checks done/);
  await worker.kubelet.restartWithFullDisk();
  await gilly.waitForLine(new RegExp(`\\[Repair\\] +repaired ${KEPT} `));
  assertEquals(await worker.imageId(KEPT), id);
}

async function checkConfigOfDocker(worker: Worker): Promise<void> {
  const docker = { socket: `${worker.dir}/docker.sock` };
  const config = await worker.writeConfig({ registries: { "gcr.io": worker.mirrorHost(UP) }, docker }, "docker.yaml");
  const state = ["--state-file", `${worker.dir}/no-daemon.json`];
  const { code, stdout } = await runGilly(["check", "--json", "--config", config, ...state]);
  const findings = JSON.parse(stdout) as Finding[];
  const { verdict, message, remedy } = findings.find(({ name }) => name === "runtime of the kubelet")!;
  assertEquals([code, verdict], [1, "fail"]);
  assertMatch(message, /^the kubelet runs its containers in containerd, not in /);
  assertStringIncludes(remedy ?? "", "write containerd: with its socket instead of docker:");
}

/** containerd reads hosts.toml at each pull, so nothing is restarted. */
async function runThroughProxy(worker: Worker): Promise<void> {
  const { runtime: { certsFolder }, dir } = worker;
  const path = "always.example/acme/app";
  await putImage({ host: worker.mirrorHost(UP) }, "acme/app", "1", [await busyboxLayer(), await randomLayer(1000)]);
  const files = { certFile: `${dir}/proxy.crt`, keyFile: `${dir}/proxy.key`, ledgerFile: `${dir}/ledger/proxy.jsonl` };
  const { certificatePem, keyPem } = worker.certificates.authority.issueServer({
    dnsNames: ["always.example"],
    ipAddresses: ["127.0.0.1"],
  });
  await Deno.writeTextFile(files.certFile, certificatePem);
  await Deno.writeTextFile(files.keyFile, keyPem);
  const registries = { "always.example": worker.mirrorHost(UP) };
  const config = await worker.writeConfig({ registries, proxy: { listen: freePort(), ...files } }, "proxy.yaml");
  await using proxy = new Gilly(["proxy", "--config", config], { logFile: `${dir}/proxy.log` });
  await proxy.waitForLine(/serving .* at 127\.0\.0\.1:/);
  const output = ["--via-proxy", "--output", `${dir}/exported`];
  const { code, stderr } = await runGilly(["export", "containerd", ...output, "--config", config]);
  assertEquals(code, 0, stderr);
  await Deno.rename(`${dir}/exported/etc/containerd/certs.d/always.example`, `${certsFolder}/always.example`);
  const reasons = new Set<string>();
  await worker.addPod(pod("proxied", `${path}:1`, { imagePullPolicy: "Always" }));
  await worker.waitForPod("proxied", (seen) => {
    reasons.add(waitingReason(seen, "app") ?? "");
    return isRunning(seen);
  });
  assertEquals([...reasons].filter((reason) => /Err|BackOff/.test(reason)), []);
  await proxy.waitForLine(new RegExp(`serving image: ${path}:1 from ${worker.mirrorHost(UP)}/`));
}
