// Tests that a reload keeps what was learned, as far as the new config leaves it valid.

import { assertEquals } from "@std/assert";
import { fakeImage } from "../fakes/docker_engine.ts";
import { startNode } from "../fakes/node.ts";
import { startProgram } from "../support/program.ts";

const REGISTRIES = "registries: {gcr.io: mirror.example, quay.io: mirror-2.example}";

Deno.test("a reload restarts no back-off except for what it changes", async () => {
  await using node = await startNode({
    pods: [
      { name: "missing", containers: [{ name: "app", image: "gcr.io/a/b:1" }] },
      { name: "unlucky", containers: [{ name: "app", image: "quay.io/c/d:1" }] },
    ],
    engine: {
      registries: {
        "mirror.example": { state: "up", images: { "new:1": fakeImage("new") } },
        "mirror-2.example": { state: "down", images: { "c/d:1": fakeImage("d") } },
        "mirror-3.example": { state: "up", images: { "a/b:1": fakeImage("b") } },
      },
    },
    config: `${REGISTRIES}\npoll: {interval: 1h}\nrepair: {backoff: {initial: 1h, max: 1h}}\n`,
  });
  await using program = await startProgram(["run", "--config", node.configFile]);
  await program.waitForLine(/cannot repair gcr\.io\/a\/b:1/);
  await program.waitForLine(/cannot repair quay\.io\/c\/d:1/);
  const asked = node.engine.pulls();
  assertEquals(asked.toSorted(), ["mirror-2.example/c/d:1", "mirror.example/a/b:1"]);

  node.kubelet.addPod({ name: "new", containers: [{ name: "app", image: "gcr.io/new:1" }] });
  await node.kubelet.advance(2);
  program.signal("SIGHUP");
  await program.waitForLine(/repaired gcr\.io\/new:1/);
  const config = await Deno.readTextFile(node.configFile);
  await Deno.writeTextFile(node.configFile, config.replace("gcr.io: mirror.example", "gcr.io: mirror-3.example"));
  program.signal("SIGHUP");
  await program.waitForLine(/repaired gcr\.io\/a\/b:1/);
  assertEquals(node.engine.pulls(), [...asked, "mirror.example/new:1", "mirror-3.example/a/b:1"]);
});
