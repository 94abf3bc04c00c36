// Tests that a mirror is shared by an image that it fails and others that it has, and what the
// program says of it.

import { assertEquals, assertMatch } from "@std/assert";
import { fakeImage } from "../fakes/docker_engine.ts";
import { startNode } from "../fakes/node.ts";
import { startProgram } from "../support/program.ts";

const BAD = "mirror.example/quay/bad/app";

/** The Engine's answer for a registry that limits requests, as Engine 20.10 gives it. */
const LIMITED = "toomanyrequests: You have reached your pull rate limit. retry-after: 77s";

Deno.test("while the mirror fails one image, others that are found are pulled from it at once", async () => {
  const good = Array.from({ length: 3 }, (_, index) => `good-${index}`);
  await using node = await startNode({
    pods: [{ name: "bad", containers: [{ name: "app", image: "quay.io/bad/app:1" }] }],
    engine: {
      registries: {
        "mirror.example": {
          state: "up",
          images: Object.fromEntries(good.map((name) => [`quay/${name}/app:1`, fakeImage(name)])),
        },
      },
    },
    config: "registries: {quay.io: mirror.example/quay}\npoll: {interval: 1s}\n" +
      "repair: {backoff: {initial: 200ms, max: 1s}}\nlogging: {level: debug}\n",
  });
  node.engine.intercept = ({ path, query }) =>
    path === "/images/create" && query.fromImage === BAD
      ? Response.json({ message: LIMITED }, { status: 500 })
      : undefined;
  await using program = await startProgram(["run", "--config", node.configFile]);
  await program.waitForLine(/cannot repair quay\.io\/bad\/app:1/);
  for (const name of good) {
    node.kubelet.addPod({ name, containers: [{ name: "app", image: `quay.io/${name}/app:1` }] });
    await node.kubelet.advance(2);
    await program.waitForLine(new RegExp(`repaired quay\\.io/${name}/app:1`));
  }
  await program.waitForLine(/no image: mirror\.example\/quay\/bad\/app is cooling down for another 7\d s/);
  const heldUp = program.journal.filter((line) => line.includes("cooling down") && line.includes("quay.io/good"));
  assertEquals([...heldUp, ...program.journal.filter((line) => line.includes("[Mirror]"))], []);
  assertEquals(node.engine.pulls().filter((reference) => reference.startsWith(BAD)), [`${BAD}:1`]);
});

Deno.test("a path whose images all fail is named once, and shown until it delivers", async () => {
  const images = ["a", "b", "c", "d"].map((name) => `${name}/app`);
  await using node = await startNode({
    pods: images.map((image) => ({
      name: image.slice(0, 1),
      containers: [{ name: "app", image: `quay.io/${image}:1` }],
    })),
    engine: {
      registries: {
        "mirror.example": {
          state: "rate-limited",
          images: Object.fromEntries(images.map((image) => [`quay/${image}:1`, fakeImage(image)])),
        },
      },
    },
    config:
      "registries: {quay.io: mirror.example/quay}\npoll: {interval: 1s}\nrepair: {backoff: {initial: 200ms, max: 1s}}\n",
  });
  await using program = await startProgram(["run", "--config", node.configFile]);
  const line = await program.waitForLine(/\[Mirror\] /);
  assertMatch(line, /mirror\.example\/quay cools down for \d s, then longer each time: 3 repositories failed in a row/);
  node.engine.registries["mirror.example"]!.state = "up";
  await program.waitForLine(/\[Mirror\] {2}mirror\.example\/quay delivers again/);
  for (const image of images) await program.waitForLine(new RegExp(`repaired quay\\.io/${image}:1`));
});
