// Drives the program on a fake worker whose runtime is containerd: every command does there what it
// does with Docker, and names the runtime that is there.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { endsWithin } from "../../lib/support/timeouts.ts";
import type { Gilly } from "../e2e/gilly.ts";
import { fakeImage } from "../fakes/containerd.ts";
import { startDockerEngine } from "../fakes/docker_engine.ts";
import { type FakeContainerdNode, startNode } from "../fakes/node.ts";
import { runProgram, startProgram } from "../support/program.ts";

const RUNNER = "gcr.io/sgryczan/ansible-runner:0.0.0";
const MIRRORED = "mirror.example/sgryczan/ansible-runner:0.0.0";
const IMAGE = fakeImage("runner");

const pod = (name: string, image: string) => ({ name, containers: [{ name: "app", image }] });
const mirror = (images: Record<string, ReturnType<typeof fakeImage>>) => ({
  registries: { "mirror.example": { state: "up" as const, images } },
});
const withoutTime = (line: string) => line.replace(/^\S+ \S+ /, "");

/** A node with a pod that waits for RUNNER, which the mirror has. */
function startWaitingNode(config?: string): Promise<FakeContainerdNode> {
  return startNode({
    runtime: "containerd",
    pods: [pod("myapp", RUNNER)],
    containerd: mirror({ "sgryczan/ansible-runner:0.0.0": IMAGE }),
    ...(config && { config }),
  });
}

Deno.test("once repairs a pod, and the log reads as with Docker", async () => {
  await using node = await startWaitingNode();
  const { code, stderr } = await runProgram(["once", "--config", node.configFile]);
  assertEquals(code, 0, stderr);
  const lines = stderr.trimEnd().split("\n").map(withoutTime);
  assertEquals(lines.slice(-5, -1), [
    "[Main]  Checks done. Sleeping for awhile",
    "[ReplaceImageRegistry]  got chunks: [gcr.io sgryczan ansible-runner:0.0.0]",
    `[PullImage]  pulling image: ${MIRRORED}`,
    `[TagImage] tagged image: ${MIRRORED} to ${RUNNER}`,
  ]);
  assertMatch(lines.at(-1)!, /^\[Repair\] {2}repaired gcr\.io\/sgryczan\/\S+ for default\/myapp in /);
  await node.kubelet.advance();
  assertEquals(node.kubelet.containers()[0]?.state, "Running");
  const [entry] = (await Deno.readTextFile(node.ledgerFile)).trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals([entry.result, entry.mirror, entry.digest], ["repaired", "mirror.example", IMAGE.digest]);
  assertEquals(node.containerd.unexpected, []);
});

/** Milliseconds without a pass after which none follows from the start, the events or a pod (schedule.ts). */
const QUIET_MS = 700;

for (const mode of ["on-failure", "eager"]) {
  Deno.test(`in mode ${mode} a sandbox that starts begins a pass long before any poll`, async () => {
    await using node = await startNode({
      runtime: "containerd",
      containerd: mirror({ "a/b:1": IMAGE }),
      config: "registries: {gcr.io: mirror.example}\npoll: {interval: 1h, safety: 1h}\nlogging: {level: debug}\n" +
        `repair: {mode: ${mode}}\n`,
    });
    await using program = startProgram(["run", "--config", node.configFile]);
    await program.waitForLine(/\[Events\] {2}containerd's events arrive/);
    while (await endsWithin(QUIET_MS, node.kubelet.waitForRequest()));
    node.kubelet.addPod(pod("new", "gcr.io/a/b:1"));
    if (mode === "on-failure") await node.kubelet.advance(2);
    node.containerd.events.tell("/tasks/start", "sandbox");
    await program.waitForLine(/repaired gcr\.io\/a\/b:1 for default\/new/);
    assertEquals(node.kubelet.containers()[0]?.state === "ContainerCreating", mode === "eager");
  });
}

Deno.test("an image that is named by a digest is repaired", async () => {
  const image = `gcr.io/a/b@${IMAGE.digest}`;
  await using node = await startNode({
    runtime: "containerd",
    pods: [pod("pinned", image)],
    containerd: mirror({ "a/b:1": IMAGE }),
  });
  const { code, stderr } = await runProgram(["once", "--config", node.configFile]);
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, `repaired ${image} for default/pinned in `);
  assertEquals(node.containerd.idOf(image), IMAGE.id);
  await node.kubelet.advance();
  assertEquals(node.kubelet.containers()[0]?.state, "Running");
});

Deno.test("the commands work, name containerd, and change nothing unless they pull", async () => {
  await using node = await startWaitingNode();
  const run = async (...argv: string[]) => {
    const [command, ...rest] = argv;
    const ended = await runProgram([command!, "--config", node.configFile, ...rest]);
    assertEquals(ended.code, 0, ended.stderr);
    assert(!/docker(?!\.io)|engine/i.test(ended.stdout + ended.stderr), ended.stdout + ended.stderr);
    return ended;
  };
  const plan = await run("once", "--dry-run");
  assertEquals(plan.stdout, `repair  ${RUNNER} for default/myapp\n          from ${MIRRORED}\n`);
  assertEquals(node.containerd.journal, [], "a dry run without digests asks containerd nothing");
  const before = await run("explain", RUNNER);
  assertMatch(before.stdout, /^ +local +absent$/m);
  assertEquals(node.containerd.names, []);
  const pulled = await run("pull", RUNNER);
  assertMatch(pulled.stdout, new RegExp(`^repaired ${RUNNER}\n +from ${MIRRORED}, .* in .*\n +${IMAGE.digest}\n$`));
  assertMatch((await run("pull", RUNNER)).stdout, /^present +gcr\.io/);
  const after = await run("explain", RUNNER);
  assertMatch(after.stdout, new RegExp(`^ +local +present, ${IMAGE.id}, .*${RUNNER}`, "m"));
  assertMatch(after.stdout, /^ +ledger +1 entry: repaired from mirror\.example/m);
  assertMatch((await run("history")).stdout, /repaired +gcr\.io\/sgryczan\/ansible-runner:0\.0\.0/);
  assertEquals(node.containerd.unexpected, []);
});

const NOTICE = /^containerd at \S+ does not answer \(.*\): nothing can be repaired; Checked 1 pods /;
const AWAY =
  "registries: {gcr.io: mirror.example}\npoll: {interval: 1s}\nrepair: {backoff: {initial: 500ms, max: 1s}}\n";

/** Returns the first state that satisfies `wanted`. */
async function stateWhere(
  { dir }: FakeContainerdNode,
  wanted: (state: { trouble: { engine: string | null } }) => boolean,
) {
  using watcher = Deno.watchFs(dir);
  for (;;) {
    const state = await Deno.readTextFile(`${dir}/state.json`).then(JSON.parse).catch(() => undefined);
    if (state !== undefined && wanted(state)) return state;
    await watcher[Symbol.asyncIterator]().next();
  }
}

/** What the log says about the runtime. */
function about({ journal }: Gilly): (string | undefined)[] {
  return journal.filter((line) => /\[(?:containerd|Docker|Events|Keep)\]/.test(line))
    .map((line) => /\[containerd\] {2}containerd at \S+ (does not answer|answers again)/.exec(line)?.[1] ?? line);
}

Deno.test("a containerd that comes after Gilly is one line in the log, and a notice until then", async () => {
  await using node = await startWaitingNode(AWAY);
  await node.containerd.stop();
  const env = { RUNTIME_DIRECTORY: node.dir };
  await using gilly = startProgram(["run", "--config", node.configFile], env);
  const line = await gilly.waitForLine(/\[containerd\]/);
  assertEquals(
    withoutTime(line).replaceAll(node.containerd.socket, "SOCKET"),
    "[containerd]  containerd at SOCKET does not answer (No such file or directory (os error 2)): " +
      "no image can be pulled until it does",
  );
  await stateWhere(node, ({ trouble }) => trouble.engine !== null);
  await gilly.waitForLine(/cannot repair gcr\.io\/\S+ .*no usable answer from containerd/);
  const { code, stdout } = await runProgram(["status"], env);
  assertEquals(code, 0);
  assertMatch(stdout, NOTICE);
  assertMatch(stdout, /^mirror\.example +unknown +not used while containerd does not answer$/m);
  await node.containerd.start();
  await gilly.waitForLine(/repaired gcr\.io\//);
  await gilly.waitForLine(/answers again/);
  const back = await stateWhere(node, ({ trouble }) => trouble.engine === null);
  assertEquals(back.mirrors.map(({ state }: { state: string }) => state), ["up"]);
  const status = await runProgram(["status"], env);
  assertMatch(status.stdout, /^Checked 1 pods .*; 1 repaired since start/);
  assertEquals(about(gilly), ["does not answer", "answers again"]);
  assertEquals((await gilly.end("SIGTERM")).code, 0);
});

Deno.test("a containerd that goes away while nothing waits is noticed, and so is its return", async () => {
  await using node = await startWaitingNode(AWAY);
  await using gilly = startProgram(["run", "--config", node.configFile], { RUNTIME_DIRECTORY: node.dir });
  await gilly.waitForLine(/repaired gcr\.io\//);
  await node.kubelet.advance();
  await node.containerd.stop();
  await stateWhere(node, ({ trouble }) => trouble.engine !== null);
  await node.containerd.start();
  await stateWhere(node, ({ trouble }) => trouble.engine === null);
  assertEquals((await gilly.end("SIGTERM")).code, 0);
  assertEquals(about(gilly), ["does not answer", "answers again"]);
  assertEquals(node.containerd.unexpected, []);
});

Deno.test("pull says for each image that containerd does not answer, and nothing else", async () => {
  await using node = await startWaitingNode();
  await node.containerd.stop();
  const { code, stderr } = await runProgram(["pull", "--config", node.configFile, RUNNER]);
  assertEquals([code, stderr.trimEnd().split("\n").length], [1, 1], stderr);
  assertStringIncludes(stderr, `failed   ${RUNNER}: inspect ${RUNNER}: no usable answer from containerd at `);
});

Deno.test("a reload from Docker to containerd repairs there from then on", async () => {
  await using node = await startNode({
    runtime: "containerd",
    pods: [pod("myapp", RUNNER)],
    containerd: mirror({ "sgryczan/ansible-runner:0.0.0": IMAGE }),
    config: AWAY,
  });
  const docker = await startDockerEngine({ socket: `${node.dir}/docker.sock`, registries: {} });
  try {
    const right = await Deno.readTextFile(node.configFile);
    await Deno.writeTextFile(node.configFile, right.replace(/^containerd: .*$/m, `docker: {socket: ${docker.socket}}`));
    await using gilly = startProgram(["run", "--config", node.configFile]);
    await gilly.waitForLine(/cannot repair gcr\.io\//);
    assertEquals(node.containerd.journal, []);
    await Deno.writeTextFile(node.configFile, right);
    gilly.signal("SIGHUP");
    await gilly.waitForLine(/\[Config\] {2}\S+ is in force/);
    await gilly.waitForLine(/repaired gcr\.io\//);
    const last = docker.journal.length;
    await node.kubelet.advance();
    node.kubelet.addPod(pod("second", "gcr.io/a/none:1"));
    await node.kubelet.advance(2);
    await gilly.waitForLine(/cannot repair gcr\.io\/a\/none:1 .*not-in-mirror/);
    assertEquals(docker.journal.slice(last), [], "nothing is asked of Docker any more");
    assertEquals((await gilly.end("SIGTERM")).code, 0);
  } finally {
    await docker.stop();
  }
});
