// What can happen to the registry proxy and its redirect, each made for real: a real Engine pulls,
// and the NAT table, /etc/hosts and the network are those of a namespace of the test's own.

import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { delay } from "@std/async/delay";
import { callEngine, missingPrograms, type RealEngine, startEngine, startRegistry } from "../e2e/engine.ts";
import { corrupt, type Fault, type FaultyRegistry, startFaultyRegistry } from "../e2e/faulty_registry.ts";
import type { Gilly } from "../e2e/gilly.ts";
import { putImage, randomLayer } from "../e2e/registry_images.ts";
import { makeAuthority } from "../fakes/certificates.ts";
import { note } from "../scenarios/scenario.ts";
import { inTemporaryFolder } from "../support/folder.ts";
import type { Outcome } from "../support/outcome.ts";
import { inOwnNetwork, missingForOwnNetwork } from "../support/own_network.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { freePort } from "../support/ports.ts";
import { startProgram } from "../support/program.ts";
import { HELPER, runHelper, sh } from "../support/redirect_bench.ts";
import { GILLY, missingForProgram } from "../support/requirements.ts";

const MISSING = [...missingForOwnNetwork(), ...missingForProgram(), ...missingPrograms()];
const STALL_SECONDS = 2;
const IMAGE_BYTES = 3_000_000;

interface Scene {
  readonly dir: string;
  readonly engine: RealEngine;
  /** In front of the same registry; asked in this order. */
  readonly mirrors: readonly [FaultyRegistry, FaultyRegistry];
  readonly proxy: Gilly;
  /** Puts an image of one layer there, `gcr.io/NAME:1`, and returns its digest. */
  put(name: string): Promise<string>;
  redirect(action: string): Promise<Outcome>;
  restartProxy(): Promise<Gilly>;
}

interface Row {
  readonly subject: "proxy" | "redirect";
  readonly what: string;
  readonly holds: string;
  run(scene: Scene): Promise<void>;
}

/** Pulls and returns what the Engine said. */
async function pull(engine: RealEngine, image: string): Promise<string> {
  return await callEngine(engine, "POST", `/images/create?fromImage=${encodeURIComponent(image)}&tag=1`);
}

/** The error in the Engine's answer, or undefined. */
function errorIn(answer: string): string | undefined {
  return /"error":"([^"]*)"/.exec(answer)?.[1];
}

/**
 * Resolves once the Engine has read the new /etc/hosts: Go looks again 5 s after its last look (net,
 * hosts.go).
 */
async function waitForLookUp(engine: RealEngine, isLed = true): Promise<void> {
  const giveUp = AbortSignal.timeout(PATIENCE_MS);
  for (;;) {
    const said = await pull(engine, "gcr.io/nothing").catch(String);
    if (/lookup gcr\.io/.test(said) !== isLed) return;
    giveUp.throwIfAborted();
    await delay(200);
  }
}

async function assertPulls({ engine, put }: Scene, name: string): Promise<void> {
  await waitForLookUp(engine);
  const digest = await put(name);
  const answer = await pull(engine, `gcr.io/${name}`);
  assertStringIncludes(answer, `Digest: ${digest}`);
}

/** What a mirror does with the rest of a layer once it has sent half of it. */
type End = (controller: ReadableStreamDefaultController<Uint8Array>) => void;

function halfway(end: End): Fault {
  return async (request, forward) => {
    const whole = await forward();
    if (!request.url.includes("/blobs/") || request.method === "HEAD") return whole;
    const bytes = new Uint8Array(await whole.arrayBuffer());
    // The config is a blob too; it is small.
    if (bytes.byteLength < 10_000) return new Response(bytes, whole);
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(bytes.subarray(0, bytes.byteLength / 2)),
      pull: (controller) => end(controller),
    });
    return new Response(body, { headers: { "Content-Length": String(bytes.byteLength) } });
  };
}

const hangs: End = () => {};
const cuts: End = (controller) => controller.error(new Error("cut on purpose"));
const ends: End = (controller) => controller.close();

/** The second mirror must continue no later than this and a second after the first one stopped. */
async function continues(scene: Scene, name: string, end: End, seconds: number): Promise<void> {
  const { engine, mirrors, proxy, put } = scene;
  const digest = await put(name);
  const stopped = Promise.withResolvers<number>();
  mirrors[0].fault = halfway((controller) => {
    stopped.resolve(performance.now());
    end(controller);
  });
  try {
    const line = new RegExp(`${mirrors[1].host} continues a layer of gcr\\.io/${name}:1 at byte [1-9]`);
    const continued = proxy.waitForLine(line).then(() => performance.now());
    const [answer, from, to] = await Promise.all([pull(engine, `gcr.io/${name}`), stopped.promise, continued]);
    assertStringIncludes(answer, `Digest: ${digest}`);
    // Docker says so before it asks for a layer again.
    assert(!answer.includes("Retrying"), answer);
    assertLess((to - from) / 1000, seconds + 1, "seconds lost");
  } finally {
    mirrors[0].fault = undefined;
    // The first mirror cools down for some seconds.
    await scene.restartProxy();
  }
}

const ROWS: readonly Row[] = [
  {
    subject: "proxy",
    what: "a mirror hangs in the middle of a layer",
    holds: "the next one continues within stallTimeout + 1 s, and Docker does not notice",
    run: (scene) => continues(scene, "hangs", hangs, STALL_SECONDS),
  },
  {
    subject: "proxy",
    what: "a mirror cuts a layer",
    holds: "the next one continues, and Docker does not notice",
    run: (scene) => continues(scene, "cuts", cuts, 0),
  },
  {
    subject: "proxy",
    what: "a mirror ends a layer too early",
    holds: "the next one continues, and Docker does not notice",
    run: (scene) => continues(scene, "ends", ends, 0),
  },
  {
    subject: "proxy",
    what: "a mirror delivers other bytes",
    holds: "Docker refuses them, that mirror is not asked for this image again, and the next pull is right",
    async run(scene) {
      const { engine, mirrors, proxy, put } = scene;
      const digest = await put("lies");
      mirrors[0].fault = corrupt;
      assertMatch(errorIn(await pull(engine, "gcr.io/lies")) ?? "none", /verification failed|digest/);
      await proxy.waitForLine(
        new RegExp(`${mirrors[0].host} delivered blob sha256:\\w+ with the digest sha256:`),
      );
      assertStringIncludes(await pull(engine, "gcr.io/lies"), `Digest: ${digest}`);
      mirrors[0].fault = undefined;
      await scene.restartProxy();
    },
  },
  {
    subject: "proxy",
    what: "all mirrors are down",
    holds: "Docker has each one's answer at once, not a time-out",
    async run(scene) {
      const { engine, mirrors, put } = scene;
      await put("down");
      for (const mirror of mirrors) mirror.fault = () => new Response("", { status: 503 });
      try {
        const start = performance.now();
        const error = await pull(engine, "gcr.io/down").then(errorIn, String);
        assertLess(performance.now() - start, 1000);
        for (const { host } of mirrors) assertStringIncludes(error ?? "none", host);
        assertStringIncludes(error ?? "none", "toomanyrequests: gilly: ");
      } finally {
        for (const mirror of mirrors) mirror.fault = undefined;
        await scene.restartProxy();
      }
    },
  },
  {
    subject: "proxy",
    what: "SIGKILL, with its redirect still there",
    holds: "a pull is refused within 100 ms of the connection, and down gives the registries back",
    async run(scene) {
      await scene.proxy.end("SIGKILL");
      const start = performance.now();
      await assertRefused();
      assertLess(performance.now() - start, 100);
      assertMatch(await pull(scene.engine, "gcr.io/gone").catch(String), /connection refused/);
      assertEquals((await scene.redirect("down")).code, 0);
      await waitForLookUp(scene.engine, false);
      await scene.restartProxy();
      assertEquals((await scene.redirect("up")).code, 0);
      await waitForLookUp(scene.engine);
    },
  },
  {
    subject: "redirect",
    what: "iptables -F on the NAT table, and /etc/hosts rewritten",
    holds: "the watch puts both back within 30 s",
    async run(scene) {
      const watch = new Deno.Command(HELPER, {
        args: ["watch", "--config", `${scene.dir}/config.yaml`, "--gilly", GILLY],
        stdout: "piped",
        stderr: "inherit",
      }).spawn();
      const said = watch.stdout.pipeThrough(new TextDecoderStream()).getReader();
      try {
        await sh("iptables -t nat -F OUTPUT && sed -i /gilly/d /etc/hosts");
        assertMatch((await said.read()).value ?? "", /^put the redirect back: gcr\.io lead to the proxy/);
        await assertPulls(scene, "put-back");
      } finally {
        watch.kill("SIGTERM");
        await watch.status;
        await said.cancel();
      }
    },
  },
  {
    subject: "redirect",
    what: "an ingress on 0.0.0.0:443, before and after it",
    holds: "the ingress keeps its port, and pulls go to the proxy",
    async run(scene) {
      await scene.redirect("down");
      {
        using _before = Deno.listen({ hostname: "0.0.0.0", port: 443 });
        assertEquals((await scene.redirect("up")).code, 0);
        await assertPulls(scene, "ingress-before");
      }
      using after = Deno.listen({ hostname: "0.0.0.0", port: 443 });
      const accepted = after.accept();
      (await Deno.connect({ hostname: "192.0.2.2", port: 443 })).close();
      (await accepted).close();
      await assertPulls(scene, "ingress-after");
    },
  },
  {
    subject: "redirect",
    what: "an Engine with HTTPS_PROXY, without NO_PROXY for the registry, then with it",
    holds: "up refuses with the line that is wanted, then pulls go to the proxy",
    async run(scene) {
      const { dir, redirect } = scene;
      await redirect("down");
      const other = async (name: string, env: readonly string[]) => {
        const engine = await startEngine(`${dir}/${name}`, { launcher: ["env", ...env] });
        return { engine, ...await withEngine(scene, engine, () => redirect("up")) };
      };
      const proxied = "HTTPS_PROXY=http://user:secret@192.0.2.9:3128";
      const refused = await other("proxied", [proxied]);
      await refused.engine.remove();
      assertEquals(refused.code, 1);
      assertMatch(refused.err, /Docker pulls from gcr\.io through the proxy http:\/\/192\.0\.2\.9:3128/);
      assertMatch(refused.err, /add NO_PROXY=gcr\.io to its environment \(systemctl edit docker\)/);
      assert(!refused.err.includes("secret"), refused.err);
      const excepted = await other("excepted", [proxied, "NO_PROXY=gcr.io"]);
      try {
        assertEquals([excepted.code, excepted.err], [0, ""]);
        await assertPulls({ ...scene, engine: excepted.engine }, "excepted");
      } finally {
        await excepted.engine.remove();
      }
    },
  },
  {
    subject: "redirect",
    what: "its certificate expired",
    holds: "Docker refuses it, and up makes a new one that the running proxy takes over",
    async run(scene) {
      const { dir, engine, proxy, redirect } = scene;
      const { certificatePem, keyPem } = makeAuthority("old").issueServer({
        dnsNames: ["gcr.io"],
        notAfter: new Date(Date.now() - 3_600_000),
      });
      await Deno.writeTextFile(`${dir}/proxy.key`, keyPem);
      await Deno.writeTextFile(`${dir}/proxy.crt`, certificatePem);
      await proxy.waitForLine(/proxy\.crt has changed and is in use/);
      assertMatch(await pull(engine, "gcr.io/expired").catch(String), /x509: certificate/);
      const { code, err } = await redirect("up");
      assertEquals([code, err], [0, ""]);
      await assertPulls(scene, "renewed");
    },
  },
];

/** Connects as Docker does, which must be refused. */
async function assertRefused(): Promise<void> {
  const refused = await Deno.connect({ hostname: "gcr.io", port: 443 }).then(() => undefined, (error) => error);
  assert(refused instanceof Deno.errors.ConnectionRefused, String(refused));
}

/** Runs `use` with a config that names another Engine. */
async function withEngine<Result>(
  { dir, engine }: Scene,
  other: RealEngine,
  use: () => Promise<Result>,
): Promise<Result> {
  const file = `${dir}/config.yaml`;
  const config = await Deno.readTextFile(file);
  await Deno.writeTextFile(file, config.replace(engine.socket, other.socket));
  return await use().finally(() => Deno.writeTextFile(file, config));
}

async function onScene(use: (scene: Scene) => Promise<void>): Promise<void> {
  await inTemporaryFolder(async (dir) => {
    await using parts = new AsyncDisposableStack();
    const registry = await startRegistry(`${dir}/mirror`);
    parts.defer(() => registry.stop());
    const mirrors = [startFaultyRegistry(registry.host), startFaultyRegistry(registry.host)] as const;
    for (const mirror of mirrors) parts.defer(() => mirror.stop());
    const engine = await startEngine(`${dir}/engine`);
    parts.defer(() => engine.remove());
    const config = `${dir}/config.yaml`;
    await Deno.writeTextFile(
      config,
      `kubelet: {url: "http://127.0.0.1:10255"}
docker: {socket: ${engine.socket}}
registries: {gcr.io: [${mirrors.map(({ host }) => `"${host}"`).join(", ")}]}
proxy: {listen: ${freePort()}, certFile: proxy.crt, keyFile: proxy.key, ledgerFile: proxy.jsonl, stallTimeout: ${STALL_SECONDS}s}
`,
    );
    const redirect = (action: string) => runHelper(action, config);
    const startProxy = async () => {
      const proxy = startProgram(["proxy", "--config", config], { RUNTIME_DIRECTORY: dir });
      await proxy.waitForLine(/serving gcr\.io at 127\.0\.0\.1:/);
      return proxy;
    };
    await redirect("prepare");
    const scene = {
      dir,
      engine,
      mirrors,
      proxy: await startProxy(),
      put: async (name: string) => await putImage({ host: registry.host }, name, "1", [await randomLayer(IMAGE_BYTES)]),
      redirect,
      async restartProxy() {
        await scene.proxy.end("SIGTERM");
        return scene.proxy = await startProxy();
      },
    };
    parts.defer(async () => void await scene.proxy.end());
    const up = await redirect("up");
    assertEquals([up.code, up.err], [0, ""]);
    await waitForLookUp(engine);
    parts.defer(async () => void await redirect("down"));
    await use(scene);
  });
}

const scenarioOf = ({ subject, what, holds }: Row) => ({ subject, what, means: "real", holds }) as const;

if (MISSING.length > 0) { for (const row of ROWS) note({ ...scenarioOf(row), result: "not run", seconds: 0 }); }

inOwnNetwork(import.meta.url, MISSING, () => {
  Deno.test(`registry proxy and redirect, a real Engine, ${ROWS.length} faults`, (t) =>
    onScene(async (scene) => {
      const failed: string[] = [];
      for (const row of ROWS) {
        const start = performance.now();
        const passed = await t.step(`${row.what}: ${row.holds}`, () => row.run(scene));
        const seconds = (performance.now() - start) / 1000;
        note({ ...scenarioOf(row), result: passed ? "passed" : "failed", seconds });
        if (!passed) failed.push(row.what);
      }
      assertEquals(failed, [], "rows that failed");
    }));
});
