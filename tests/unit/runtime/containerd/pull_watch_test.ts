// Tests lib/runtime/containerd/pull_watch.ts on the fake containerd: what counts as progress of a pull.

import { assertEquals } from "@std/assert";
import { containerdAdvice } from "../../../../lib/runtime/containerd/advice.ts";
import { ContainerdConnection } from "../../../../lib/runtime/containerd/connection.ts";
import { PullWatch } from "../../../../lib/runtime/containerd/pull_watch.ts";
import type { PullProgress } from "../../../../lib/runtime/runtime.ts";
import { failure, type FakeContainerd } from "../../../fakes/containerd.ts";
import { answering, containerdTest, failureOf, IMAGE, MIRRORED } from "../../../support/containerd_bench.ts";

const LAYER = `extract-1-a ${IMAGE.digest}`;

/** Watches while `during` runs, and returns what was told. */
async function told(
  { socket }: FakeContainerd,
  during: (watch: PullWatch) => Promise<unknown>,
): Promise<readonly (readonly PullProgress[])[]> {
  const connection = new ContainerdConnection(containerdAdvice(socket), 5000);
  const found: (readonly PullProgress[])[] = [];
  const stop = new AbortController();
  const watch = new PullWatch({ connection, attempt: "watch", onProgress: (news) => found.push(news) });
  const running = watch.run(stop.signal);
  await during(watch);
  stop.abort();
  await running;
  connection.close();
  return found;
}

/** Resolves after so many more answers about what is being unpacked; the first look asks twice. */
async function looks(containerd: FakeContainerd, count: number): Promise<void> {
  const made = () =>
    containerd.journal.filter(({ method, status }) => method === "List" && status !== undefined).length;
  const before = made();
  await containerd.waitFor(() => made() >= before + count);
}

containerdTest("a layer that is unpacked is progress, though nothing of it is told", async ({ containerd }) => {
  const found = await told(containerd, async () => {
    await looks(containerd, 1);
    containerd.unpacking.add(LAYER);
    await looks(containerd, 3);
  });
  assertEquals(found.length >= 1, true);
  assertEquals(found.flat(), []);
});

containerdTest("nothing that is written or unpacked is no progress", async ({ containerd }) => {
  assertEquals(await told(containerd, () => looks(containerd, 3)), []);
});

containerdTest("what was being unpacked before is of another pull, or left over, and no progress", async (bench) => {
  bench.containerd.unpacking.add(LAYER);
  assertEquals(await told(bench.containerd, () => looks(bench.containerd, 3)), []);
});

containerdTest("a snapshotter that is not there is no progress, and no failure", async ({ containerd }) => {
  containerd.intercept = answering("List", () => failure(3, "snapshotter not loaded: overlayfs: invalid argument"));
  containerd.unpacking.add(LAYER);
  assertEquals(await told(containerd, () => looks(containerd, 2)), []);
});

containerdTest("a list that is never answered does not hide what is written", async ({ containerd }) => {
  const silence = Promise.withResolvers<Response>();
  containerd.intercept = answering("List", () => silence.promise);
  const written = () => containerd.journal.filter(({ method }) => method === "ListStatuses").length;
  await told(containerd, () => containerd.waitFor(() => written() >= 2));
  silence.resolve(failure(14, "too late"));
});

containerdTest("the snapshotter is CRI's, or else the usual one", async ({ containerd }) => {
  const asked = () => containerd.journal.findLast(({ method }) => method === "List")?.request.snapshotter;
  await told(containerd, () => looks(containerd, 1));
  assertEquals(asked(), "overlayfs");
  containerd.config.containerd.snapshotter = "native";
  await told(containerd, () => looks(containerd, 1));
  assertEquals(asked(), "native");
});

containerdTest("a pull is not given up while its layers are unpacked, however long its deadline", async (bench) => {
  const { containerd, runtime, signal } = bench;
  const hold = containerd.hold("end");
  const pulling = runtime.pull(MIRRORED, { signal });
  await hold.reached;
  await looks(containerd, 1);
  containerd.unpacking.add(LAYER);
  await looks(containerd, 4);
  hold.release();
  assertEquals((await pulling).digest, IMAGE.digest);
}, { noProgressMs: 1000 });

containerdTest("a pull that neither writes nor unpacks is given up", async ({ containerd, runtime, signal }) => {
  containerd.unpacking.add(LAYER);
  containerd.hold("end");
  await failureOf("stalled", () => runtime.pull(MIRRORED, { signal }));
}, { noProgressMs: 1000 });
