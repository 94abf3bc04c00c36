import { assert, assertEquals } from "@std/assert";
import { fakeImage } from "../fakes/docker_engine.ts";
import { sandboxStarted } from "../fakes/engine_events.ts";
import { startNode } from "../fakes/node.ts";
import { startProgram } from "../support/program.ts";

const CONFIG = (mode: string) => `
registries: {gcr.io: mirror.example}
poll: {interval: 1h, safety: 1h}
repair: {mode: ${mode}}
`;

for (const mode of ["on-failure", "eager"]) {
  Deno.test(`in mode ${mode} a starting sandbox triggers a pass, and the pod is repaired long before any poll`, async () => {
    await using node = await startNode({
      engine: { registries: { "mirror.example": { state: "up", images: { "a/b:1": fakeImage("b") } } } },
      config: CONFIG(mode),
    });
    await using program = await startProgram(["run", "--config", node.configFile]);
    await node.engine.waitFor((call) => call.path === "/events");
    await program.waitForLine(/Checks done/);
    node.kubelet.addPod({ name: "new", containers: [{ name: "app", image: "gcr.io/a/b:1" }] });
    if (mode === "on-failure") await node.kubelet.advance(2);
    node.engine.events.tell(sandboxStarted("new"));
    await program.waitForLine(/repaired gcr\.io\/a\/b:1 for default\/new/);
    assertEquals(node.kubelet.containers()[0]?.state === "ContainerCreating", mode === "eager");
    await node.kubelet.advance();
    assertEquals(node.kubelet.containers()[0]?.state, "Running");
  });
}

Deno.test("an eager repair silently skips images that are present or have no rule", async () => {
  await using node = await startNode({
    images: { "gcr.io/a/there:1": fakeImage("there") },
    config: CONFIG("eager"),
  });
  node.kubelet.addPod({
    name: "new",
    containers: [{ name: "a", image: "gcr.io/a/there:1" }, { name: "b", image: "ghcr.io/a/b:1" }],
  });
  await using program = await startProgram(["run", "--config", node.configFile]);
  await node.engine.waitFor((call) => call.path.startsWith("/images/gcr.io/a/there") && call.ended === "complete");
  await program.waitForLine(/Checks done/);
  assertEquals((await program.end()).code, 0);
  assertEquals(program.journal.filter((line) => /\[Plan\]|\[Repair\]|\[PullImage\]/.test(line)), []);
  assert(!await exists(node.ledgerFile));
});

Deno.test("if the events fail the daemon logs it and polls, and a pod is still repaired", async () => {
  await using node = await startNode({
    engine: { registries: { "mirror.example": { state: "up", images: { "a/b:1": fakeImage("b") } } } },
    config: "registries: {gcr.io: mirror.example}\npoll: {interval: 1s, safety: 1h}\n",
  });
  node.engine.intercept = (call) =>
    call.path === "/events" ? Response.json({ message: "no events today" }, { status: 500 }) : undefined;
  await using program = await startProgram(["run", "--config", node.configFile]);
  await program.waitForLine(/\[Events\] {2}polling until the events are back: .*no events today/);
  node.kubelet.addPod({ name: "new", containers: [{ name: "app", image: "gcr.io/a/b:1" }] });
  await node.kubelet.advance(2);
  await program.waitForLine(/repaired gcr\.io\/a\/b:1/);
  node.engine.intercept = undefined;
  await program.waitForLine(/\[Events\] {2}the Docker Engine's events arrive again/);
});

async function exists(file: string): Promise<boolean> {
  return await Deno.stat(file).then(() => true, () => false);
}
