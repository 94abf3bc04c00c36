// A client of the metrics port can neither end the daemon nor keep the metrics from others.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Gilly } from "../e2e/gilly.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { scenario } from "../scenarios/scenario.ts";
import { freePort } from "../support/ports.ts";
import { startProgram } from "../support/program.ts";

const IMAGE = "gcr.io/acme/good:1";

interface Scene extends AsyncDisposable {
  readonly node: FakeNode;
  readonly gilly: Gilly;
  readonly port: number;
}

/** A daemon that serves metrics. */
async function startScene(): Promise<Scene> {
  const good = fakeImage("good", [1000]);
  const node = await startNode({
    engine: { registries: { "mirror.example": { state: "up", images: { "acme/good:1": good } } } },
    config:
      `registries: {gcr.io: mirror.example}\npoll: {interval: 1s, safety: 1s}\nmetrics: {listen: ${freePort()}}\n`,
  });
  const gilly = await startProgram(["run", "--config", node.configFile], { RUNTIME_DIRECTORY: node.dir });
  const url = /http:\S+(?=\/metrics)/.exec(await gilly.waitForLine(/serving metrics on/))![0];
  return {
    node,
    gilly,
    port: Number(new URL(url).port),
    async [Symbol.asyncDispose]() {
      await gilly[Symbol.asyncDispose]();
      await node[Symbol.asyncDispose]();
    },
  };
}

function descriptorsOf({ pid }: Gilly): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** Limits the number of descriptors of a process (prlimit(1)). */
async function limitDescriptors({ pid }: Gilly, most: number): Promise<void> {
  const { success } = await new Deno.Command("prlimit", { args: [`--pid=${pid}`, `--nofile=${most}`] }).output();
  assert(success);
}

/** Connects `times` times, and sends the beginning of a request each time if the daemon lets it. */
async function connectHalf(port: number, times: number): Promise<Deno.TcpConn[]> {
  const connections: Deno.TcpConn[] = [];
  for (let number = 0; number < times; number++) {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connections.push(connection);
    await connection.write(new TextEncoder().encode("GET /metrics HTTP/1.1\r\nX: ")).catch(() => {});
  }
  return connections;
}

async function scrape(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(20_000) });
  return await response.text();
}

function addPod({ node }: Scene): void {
  node.kubelet.addPod({ name: "good", containers: [{ name: "app", image: IMAGE }] });
  node.kubelet.advanceEvery(100);
}

const standIn = (what: string, holds: string) => ({ subject: "metrics port", what, means: "stand-in" as const, holds });

scenario(
  standIn(
    "1,100 unfinished requests, byte by byte, to a daemon with 1,024 descriptors",
    "a scrape is answered meanwhile, a pod is repaired, few descriptors are taken",
  ),
  async () => {
    await using scene = await startScene();
    await limitDescriptors(scene.gilly, 1024);
    const connections = await connectHalf(scene.port, 1100);
    const trickle = setInterval(() => {
      for (const connection of connections) void connection.write(new Uint8Array([0x78])).catch(() => {});
    }, 200);
    try {
      assertMatch(await scrape(scene.port), /^gilly_pods 0$/m);
      const taken = descriptorsOf(scene.gilly);
      assert(taken < 128, `${taken} descriptors`);
      addPod(scene);
      await scene.gilly.waitForLine(/repaired gcr\.io\/acme\/good:1/);
      assertMatch(await scrape(scene.port), /^gilly_pods 1$/m);
    } finally {
      clearInterval(trickle);
      for (const connection of connections) connection.close();
    }
    assertEquals((await scene.gilly.end("SIGTERM")).code, 0);
  },
);

scenario(
  standIn(
    "unfinished requests until the daemon has no descriptor left, then none",
    "it lives, asks the kubelet and serves metrics again",
  ),
  async () => {
    await using scene = await startScene();
    await scene.node.kubelet.waitForRequest(2);
    // Room for the daemon's own descriptors, and for fewer connections than the port accepts.
    await limitDescriptors(scene.gilly, descriptorsOf(scene.gilly) + 20);
    const connections = await connectHalf(scene.port, 200);
    await scene.gilly.waitForLine(/Too many open files/);
    for (const connection of connections) connection.close();
    addPod(scene);
    await scene.gilly.waitForLine(/repaired gcr\.io\/acme\/good:1/);
    assertMatch(await scrape(scene.port), /^gilly_pods 1$/m);
    assertEquals((await scene.gilly.end("SIGTERM")).code, 0);
  },
);
