// Tests which parts of the bundle are loaded: a node with Docker must not pay for containerd's client
// and its messages, so their file is made to fail on loading.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { BUNDLE } from "../../tools/compile.ts";
import { PROJECT } from "../../tools/deno.ts";
import { runGilly } from "../e2e/gilly.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type AnyFakeNode, startNode } from "../fakes/node.ts";
import { permissions, withoutServiceManager } from "../support/program.ts";

const POD = { name: "a", containers: [{ name: "app", image: "gcr.io/a/b:1" }] };
const REGISTRIES = { "mirror.example": { state: "up" as const, images: { "a/b:1": fakeImage("b") } } };

/** Copies the bundle, and makes the file whose code has a text fail when it is loaded. */
async function without(text: string, folder: string): Promise<string> {
  const files = [...Deno.readDirSync(PROJECT + BUNDLE)].map(({ name }) => name);
  const found: string[] = [];
  for (const name of files) {
    const code = await Deno.readTextFile(`${PROJECT}${BUNDLE}/${name}`);
    const isIt = name !== "main.js" && code.includes(text);
    if (isIt) found.push(name);
    await Deno.writeTextFile(`${folder}/${name}`, isIt ? 'throw new Error("loaded");' : code);
  }
  assertEquals(found.length, 1, `${text}: ${found}`);
  return `${folder}/main.js`;
}

/** Repairs a pod on the node with a bundle from which a part is missing. */
async function repair(text: string, node: AnyFakeNode) {
  const folder = `${node.dir}/bundle`;
  await Deno.mkdir(folder);
  return await runGilly(["once", "--config", node.configFile], {
    program: Deno.execPath(),
    args: [
      "run",
      "--quiet",
      "--no-config",
      "--no-lock",
      "--unstable-net",
      ...permissions(),
      await without(text, folder),
    ],
    cwd: node.dir,
    env: withoutServiceManager(),
    clearEnv: true,
  });
}

Deno.test("only a config that names containerd loads its client and its messages", async () => {
  const text = "application/grpc";
  await using docker = await startNode({ pods: [POD], engine: { registries: REGISTRIES } });
  const { code, stderr } = await repair(text, docker);
  assertEquals(code, 0, stderr);
  await using node = await startNode({ runtime: "containerd", pods: [POD], containerd: { registries: REGISTRIES } });
  assertStringIncludes((await repair(text, node)).stderr, "loaded");
});

Deno.test("the code for containerd and for metrics is in no file that every run loads", async () => {
  const main = await Deno.readTextFile(`${PROJECT}${BUNDLE}/main.js`);
  for (const text of ["application/grpc", "process_cpu_user_seconds_total"]) {
    assertEquals(main.includes(text), false, text);
  }
});
