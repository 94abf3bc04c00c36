// Tests a Docker Engine that is away: the log, the state, the status line and the commands report
// it, and the notice disappears when it is back.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Gilly } from "../e2e/gilly.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { runProgram, startProgram } from "../support/program.ts";

const NOTICE = /^the Docker Engine at \S+ does not answer \(.*\): nothing can be repaired; Checked 1 pods /;

function startAwayNode(): Promise<FakeNode> {
  return startNode({
    pods: [{ name: "myapp", containers: [{ name: "app", image: "gcr.io/a/b:1" }] }],
    engine: { registries: { "mirror.example": { state: "up", images: { "a/b:1": fakeImage("b") } } } },
    config:
      "registries: {gcr.io: mirror.example}\npoll: {interval: 1s}\nrepair: {backoff: {initial: 500ms, max: 1s}}\n",
  });
}

/**
 * Returns the first state that satisfies `wanted`, checking the file on each change in the folder.
 */
async function stateWhere(node: FakeNode, wanted: (state: { trouble: { engine: string | null } }) => boolean) {
  const file = `${node.dir}/state.json`;
  using watcher = Deno.watchFs(node.dir);
  for (;;) {
    const state = await Deno.readTextFile(file).then(JSON.parse).catch(() => undefined);
    if (state !== undefined && wanted(state)) return state;
    await watcher[Symbol.asyncIterator]().next();
  }
}

const about = (gilly: Gilly) => gilly.journal.filter((line) => /\[(?:Docker|Events|Keep)\]/.test(line));
const withoutTime = (line: string) => line.replace(/^\S+ \S+ /, "");

Deno.test("an Engine that is away is one line in the log and a notice in state and status, until it is back", async () => {
  await using node = await startAwayNode();
  await node.engine.stop();
  const env = { RUNTIME_DIRECTORY: node.dir };
  await using gilly = await startProgram(["run", "--config", node.configFile], env);
  const line = await gilly.waitForLine(/\[Docker\]/);
  assertEquals(
    withoutTime(line).replaceAll(node.engine.socket, "SOCKET"),
    "[Docker]  the Docker Engine at SOCKET does not answer (No such file or directory (os error 2)): " +
      "no image can be pulled until it does",
  );
  const away = await stateWhere(node, ({ trouble }) => trouble.engine !== null);
  assertStringIncludes(away.trouble.engine, `the Docker Engine at ${node.engine.socket} does not answer (`);
  await gilly.waitForLine(/cannot repair gcr\.io\/a\/b:1 .*no usable answer/);
  const { code, stdout } = await runProgram(["status"], env);
  assertEquals(code, 0);
  assertMatch(stdout, NOTICE);
  assertMatch(stdout, /^mirror\.example +unknown +not used while the Docker Engine does not answer$/m);
  await node.engine.start();
  await gilly.waitForLine(/repaired gcr\.io\/a\/b:1 /);
  await gilly.waitForLine(/\[Docker\] {2}the Docker Engine at \S+ answers again/);
  const back = await stateWhere(node, ({ trouble }) => trouble.engine === null);
  assertEquals(back.mirrors.map(({ state }: { state: string }) => state), ["up"]);
  assertEquals(about(gilly).length, 2, about(gilly).join("\n"));
  assertEquals((await gilly.end("SIGTERM")).code, 0);
});

Deno.test("an Engine that stops while nothing needs repair is noticed, and so is its return", async () => {
  await using node = await startAwayNode();
  await using gilly = await startProgram(["run", "--config", node.configFile], { RUNTIME_DIRECTORY: node.dir });
  await gilly.waitForLine(/repaired gcr\.io\/a\/b:1 /);
  await node.kubelet.advance();
  await node.engine.stop();
  await stateWhere(node, ({ trouble }) => trouble.engine !== null);
  await node.engine.start();
  await stateWhere(node, ({ trouble }) => trouble.engine === null);
  assertEquals((await gilly.end("SIGTERM")).code, 0);
  assertEquals(about(gilly).map((line) => /(?:does not answer|answers again)/.exec(line)?.[0]), [
    "does not answer",
    "answers again",
  ]);
});

Deno.test("an Engine that sends events but no usable answers is away until it answers", async () => {
  await using node = await startAwayNode();
  let isIll = true;
  node.engine.intercept = ({ path }) =>
    isIll && path.startsWith("/images/gcr.io") ? new Response("x".repeat(9 * 1024 * 1024)) : undefined;
  await using gilly = await startProgram(["run", "--config", node.configFile], { RUNTIME_DIRECTORY: node.dir });
  await gilly.waitForLine(/\[Docker\] {2}the Docker Engine at \S+ does not answer/);
  isIll = false;
  await gilly.waitForLine(/\[Docker\] {2}the Docker Engine at \S+ answers again/);
  await stateWhere(node, ({ trouble }) => trouble.engine === null);
  assertEquals((await gilly.end("SIGTERM")).code, 0);
});

Deno.test("pull reports for each image that the Engine does not answer, and nothing else", async () => {
  await using node = await startAwayNode();
  await node.engine.stop();
  const { code, stderr } = await runProgram(["pull", "--config", node.configFile, "gcr.io/a/b:1"]);
  assertEquals([code, stderr.trimEnd().split("\n").length], [1, 1], stderr);
  assertStringIncludes(
    stderr,
    "failed   gcr.io/a/b:1: inspect gcr.io/a/b:1: no usable answer from the Docker Engine at ",
  );
});
