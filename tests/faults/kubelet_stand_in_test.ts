// Answers that a real kubelet does not give on demand, from a fake behind real TLS.

import { assertEquals } from "@std/assert";
import { scenario } from "../scenarios/scenario.ts";
import { EAGER_TO_TRY, HURT, otherIsRepaired, type Scene, withScene } from "./scene.ts";

const standIn = (what: string, holds: string) => ({ subject: "kubelet", what, means: "stand-in" as const, holds });

/**
 * The first pass finds both pods, and the pull for the hurt one is held; then `fault` happens to
 * the passes after it, while that pull runs to its end.
 */
function withFaultyPasses(fault: (scene: Scene) => Promise<void>): Promise<void> {
  return withScene(async ({ node, gilly }) => {
    const held = node.engine.hold("layers", HURT.pulled);
    await held.reached;
    await fault({ node, gilly });
    held.release();
    await gilly.waitForLine(/repaired gcr\.io\/acme\/hurt:1 /);
    await otherIsRepaired({ node, gilly });
    node.kubelet.answerAsUsual();
    // A pass after the fault finds both pods running.
    await node.kubelet.advance(2);
    await gilly.waitForLine(/Container app in pod hurt no longer waits/);
  }, { config: EAGER_TO_TRY.replace("noProgress: 1s", "noProgress: 1m") });
}

scenario(standIn("/pods answers slowly, for the length of a repair", "the running repair continues"), () => {
  const open = Promise.withResolvers<void>();
  return withFaultyPasses(async ({ node, gilly }) => {
    node.kubelet.answerWith({ after: open.promise });
    await node.kubelet.waitForRequest();
    void gilly.waitForLine(/repaired gcr\.io\/acme\/hurt:1 /).then(() => open.resolve(), () => open.resolve());
  });
});

const ANSWERS: Readonly<Record<string, readonly [Parameters<Scene["node"]["kubelet"]["answerWith"]>[0], RegExp]>> = {
  "half of its answer": [{ body: '{"kind":"PodList","items":[{"metadata":', isBrokenOff: true }, /cut off|no answer/],
  "half of its answer, as if it were whole": [{ body: '{"kind":"PodList","items":[{"metadata":' }, /expected JSON/],
  "a web page": [{ body: "<html>It works!</html>", contentType: "text/html" }, /expected JSON/],
  "nothing": [{ body: "" }, /expected JSON/],
  "no list": [{ body: '{"kind":"Status","code":500}' }, /expected a PodList/],
  "401": [{ status: 401 }, /answered 401/],
  "500": [{ status: 500 }, /answered 500/],
};

scenario(standIn(`/pods answers ${Object.keys(ANSWERS).join(", ")}`, "each costs only its own pass"), async () => {
  for (const [answer, said] of Object.values(ANSWERS)) {
    await withFaultyPasses(async ({ node, gilly }) => {
      node.kubelet.answerWith(answer);
      await gilly.waitForLine(new RegExp(`\\[GetPods\\] .*skipped this pass: .*(?:${said.source})`));
    });
  }
});

scenario(
  standIn("/pods answers without an end", "given up at 96 MiB, the next pass asks again"),
  () =>
    withFaultyPasses(async ({ node, gilly }) => {
      node.kubelet.answerWith({ body: () => endless(JSON.stringify({ kind: "PodList", items: [] }).slice(0, -2)) });
      await gilly.waitForLine(/skipped this pass: .*larger than/);
    }),
);

scenario(
  standIn("/pods answers 50 MB", "read, and the pass continues"),
  () =>
    withFaultyPasses(async ({ node, gilly }) => {
      const annotations = { note: "x".repeat(50_000_000) };
      node.kubelet.addItem({ metadata: { name: "huge", uid: "huge", annotations }, spec: { containers: [] } });
      await gilly.waitForLine(/Pulled 3 running pods/);
      node.kubelet.removeItems();
    }),
);

scenario(
  standIn("/pods answers 10,000 pods", "read, and the pass continues"),
  () =>
    withFaultyPasses(async ({ node, gilly }) => {
      for (let index = 0; index < 9998; index++) node.kubelet.addItem(runningPod(index));
      await gilly.waitForLine(/Pulled 10000 running pods/);
      assertEquals(gilly.journal.filter((line) => line.includes("pod-")), []);
      node.kubelet.removeItems();
    }),
);

/** A pod of typical size. */
function runningPod(index: number): unknown {
  const name = `pod-${index}`;
  const image = `gcr.io/acme/${name}:1`;
  return {
    metadata: { name, namespace: "default", uid: `uid-${index}`, annotations: { note: "x".repeat(1500) } },
    spec: { containers: [{ name: "app", image, imagePullPolicy: "IfNotPresent" }] },
    status: { phase: "Running", containerStatuses: [{ name: "app", image, state: { running: {} } }] },
  };
}

function endless(begin: string): ReadableStream<Uint8Array> {
  const more = new TextEncoder().encode(" ".repeat(256 * 1024));
  return new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode(begin)),
    pull: (controller) => controller.enqueue(more),
  });
}
