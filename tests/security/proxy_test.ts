// Proxy variables in the environment divert no request to the kubelet or to the Docker Engine.

import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { Gilly, type Launch } from "../e2e/gilly.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { scenario } from "../scenarios/scenario.ts";
import { withoutServiceManager } from "../support/program.ts";
import { GILLY } from "../support/requirements.ts";

/** Counts connections and closes them without an answer. */
class Listener implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  connections = 0;

  constructor() {
    void this.#accept();
  }

  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      this.connections++;
      connection.close();
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}

/**
 * The compiled program, in an environment with these variables and none of the test's own proxies.
 */
function launch(variables: Record<string, string>): Launch {
  return { program: GILLY, args: [], env: { ...withoutServiceManager(), ...variables }, clearEnv: true };
}

async function run(argv: readonly string[], variables: Record<string, string>) {
  const { program, args, ...options } = launch(variables);
  const { code, stdout, stderr } = await new Deno.Command(program, { ...options, args: [...args, ...argv] }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

const IMAGE = "gcr.io/acme/good:1";

async function startWorker(kubeletUrl?: string): Promise<FakeNode> {
  const node = await startNode({
    pods: [{ name: "good", containers: [{ name: "app", image: IMAGE }] }],
    engine: { registries: { "mirror.example": { state: "up", images: { "acme/good:1": fakeImage("good") } } } },
    config: "registries: {gcr.io: mirror.example}\npoll: {interval: 1s, safety: 1s}\n",
  });
  if (kubeletUrl !== undefined) {
    const text = await Deno.readTextFile(node.configFile);
    await Deno.writeTextFile(node.configFile, text.replace(/^kubelet:.*/, `kubelet: {url: "${kubeletUrl}"}`));
  }
  return node;
}

const SPELLINGS = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/**
 * Each variable with each value, and the NO_PROXY variables, which would send requests to the
 * Engine past its socket.
 */
function environments(address: string): Record<string, string>[] {
  return [
    ...SPELLINGS.flatMap((name) =>
      [`http://u:hunter22@${address}`, `socks5://${address}`].map((url) => ({ [name]: url }))
    ),
    { NO_PROXY: "*" },
    { no_proxy: "docker, localhost, 127.0.0.1" },
    Object.fromEntries([...SPELLINGS, "NO_PROXY", "no_proxy"].map((name) => [name, `http://${address}`])),
  ];
}

const standIn = (what: string, holds: string) => ({ subject: "proxies", what, means: "stand-in" as const, holds });

scenario(
  standIn(
    "every variable that names one or an exception from it, in both cases; https kubelet and Docker socket; once, check",
    "it is never connected to; the image is repaired; check names the variable and not its value",
  ),
  async () => {
    using proxy = new Listener();
    for (const variables of environments(proxy.address)) {
      const named = JSON.stringify(variables);
      await using node = await startWorker();
      const argv = ["--config", node.configFile];
      const once = await run(["once", ...argv], variables);
      assertEquals(once.code, 0, `${named}: ${once.text}`);
      assert(node.engine.has(IMAGE), `${named}: ${once.text}`);
      const asked = node.kubelet.requests.length;
      const check = await run(["check", ...argv], variables);
      assertMatch(check.text, /^ok {4}kubelet: /m, named);
      assertMatch(check.text, /^ok {4}docker socket: /m, named);
      assertGreater(node.kubelet.requests.length, asked, named);
      const names = Object.keys(variables).filter((name) => !/^no_/i.test(name));
      const found = /^warn {2}proxy: (.*) names? a proxy; Gilly does not use it/m.exec(check.text)?.[1];
      assertEquals((found?.split(", ") ?? []).sort(), names.sort(), check.text);
      assertEquals(check.text.includes("hunter22"), false, check.text);
    }
    assertEquals(proxy.connections, 0);
  },
);

scenario(
  standIn("the same, with a kubelet that speaks http", "it is never connected to; the kubelet answers"),
  async () => {
    using proxy = new Listener();
    let requests = 0;
    await using kubelet = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
      requests++;
      return Response.json({ kind: "PodList", apiVersion: "v1", items: [] });
    });
    await using node = await startWorker(`http://127.0.0.1:${kubelet.addr.port}`);
    for (const variables of environments(proxy.address)) {
      const before = requests;
      const { code, text } = await run(["once", "--config", node.configFile], variables);
      assertEquals([code, requests], [0, before + 1], `${JSON.stringify(variables)}: ${text}`);
    }
    assertEquals(proxy.connections, 0);
  },
);

scenario(
  standIn("all of them, in the daemon's environment", "it is never connected to; the pod is repaired"),
  async () => {
    using proxy = new Listener();
    await using node = await startWorker();
    const all = environments(proxy.address).at(-1)!;
    await using gilly = new Gilly(["run", "--config", node.configFile], { launch: launch(all) });
    await gilly.waitForLine(/repaired gcr\.io\/acme\/good:1/);
    assertEquals((await gilly.end("SIGTERM")).code, 0);
    assertEquals(proxy.connections, 0);
  },
);
