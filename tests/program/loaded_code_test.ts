// Tests which modules of the bundle run: a node with Docker must not pay for containerd's client and
// its messages, which take several megabytes of memory once they have run. The bundler wraps a module
// that only a dynamic import reaches, and runs it when that import does.

import { assert, assertEquals } from "@std/assert";
import { deno, PROJECT } from "../../tools/deno.ts";
import { provideEsbuild } from "../../tools/esbuild.ts";
import { runGilly } from "../e2e/gilly.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type AnyFakeNode, startNode } from "../fakes/node.ts";
import { permissions, withoutServiceManager } from "../support/program.ts";

const WRAPPER = "var __esm = (fn, res) => function __init() {\n";
const MARK = "modules that ran: ";

/** Makes the bundle say at its end which wrapped modules ran, by their paths. */
function telling(bundle: string): string {
  const [head, ...rest] = bundle.split(WRAPPER);
  assertEquals(rest.length, 1, "the bundler's wrapper is as expected");
  const note = "  if (fn) ranModules.push(Object.keys(fn)[0]);\n";
  return "const ranModules = [];\n" +
    `globalThis.addEventListener("unload", () => console.log(${
      JSON.stringify(MARK)
    } + JSON.stringify(ranModules)));\n` +
    `${head}${WRAPPER}${note}${rest[0]}`;
}

/** Repairs a pod on the node, and returns the wrapped modules that ran. */
async function modulesOf(bundle: string, node: AnyFakeNode): Promise<string[]> {
  const { code, stdout, stderr } = await runGilly(["once", "--config", node.configFile], {
    program: Deno.execPath(),
    args: ["run", "--quiet", "--no-config", "--no-lock", "--unstable-net", ...permissions(), bundle],
    cwd: node.dir,
    env: withoutServiceManager(),
    clearEnv: true,
  });
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout.slice(stdout.lastIndexOf(MARK) + MARK.length));
}

const POD = { name: "a", containers: [{ name: "app", image: "gcr.io/a/b:1" }] };
const REGISTRIES = { "mirror.example": { state: "up" as const, images: { "a/b:1": fakeImage("b") } } };
const isOfContainerd = (path: string) => /@bufbuild\/protobuf|lib\/runtime\/containerd\//.test(path);

Deno.test("only a config that names containerd runs its client and its messages", async () => {
  await provideEsbuild();
  const bundle = telling(await deno(["bundle", "--quiet", `${PROJECT}main.ts`]));
  await using docker = await startNode({ pods: [POD], engine: { registries: REGISTRIES } });
  await using containerd = await startNode({
    runtime: "containerd",
    pods: [POD],
    containerd: { registries: REGISTRIES },
  });
  const file = `${docker.dir}/bundle.js`;
  await Deno.writeTextFile(file, bundle);
  const there = (await modulesOf(file, containerd)).filter(isOfContainerd);
  assert(there.some((path) => path.endsWith("lib/runtime/containerd/client.ts")), there.join(" "));
  for (
    const part of ["connection", "messages/cri_pb", "messages/images_pb", "messages/events_pb", "messages/content_pb"]
  ) {
    assert(there.some((path) => path.endsWith(`lib/runtime/containerd/${part}.ts`)), part);
  }
  assert(there.some((path) => path.includes("@bufbuild/protobuf")));
  assertEquals((await modulesOf(file, docker)).filter(isOfContainerd), []);
});
