// End to end: a real Engine, which nobody restarts or configures, and a real kubelet are led to the
// registry proxy, and their pods run in the first place.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { inOwnNetwork, missingForOwnNetwork } from "../support/own_network.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { freePort } from "../support/ports.ts";
import { redirected } from "../support/redirect_bench.ts";
import { missingForEndToEnd } from "../support/requirements.ts";
import { callEngine } from "./engine.ts";
import { startFaultyRegistry } from "./faulty_registry.ts";
import { Gilly, runGilly } from "./gilly.ts";
import { isRunning, waitingReason } from "./pod_state.ts";
import { busyboxLayer, putImage, randomLayer } from "./registry_images.ts";
import { type TestContainer, withWorker, type Worker } from "./worker.ts";

const MARKED = { username: "mallory", password: "marked-secret-of-a-pod" };

inOwnNetwork(import.meta.url, [...missingForEndToEnd(), ...missingForOwnNetwork()], () => {
  Deno.test("pods run in the first place whose images the kubelet cannot pull and Gilly cannot repair", async (t) => {
    await withWorker({}, async (worker) => {
      const mirror = startFaultyRegistry(worker.mirrorHost(0));
      await using parts = new AsyncDisposableStack();
      parts.defer(() => mirror.stop());
      const port = freePort();
      const config = await worker.writeConfig({
        registries: { "gcr.io": `${mirror.host}/gcr`, "quay.io": `${mirror.host}/quay`, "*": `${mirror.host}/hub` },
        proxy: {
          listen: port,
          certFile: `${worker.dir}/proxy.crt`,
          keyFile: `${worker.dir}/proxy.key`,
          ledgerFile: `${worker.dir}/ledger/proxy.jsonl`,
        },
      });
      const redirect = (action: string) => redirected(action, config);
      const dockerd = await Deno.readTextFile(`${worker.engine.dir}/dockerd.pid`);
      await redirect("prepare");
      await using proxy = new Gilly(["proxy", "--config", config], { logFile: `${worker.dir}/proxy.log` });
      await proxy.waitForLine(/serving gcr\.io, quay\.io at 127\.0\.0\.1:/);
      await redirect("up");
      parts.defer(async () => void await redirect("down"));

      const layer = await busyboxLayer();
      const put = async (path: string) =>
        await putImage({ host: worker.mirrorHost(0) }, path, "1", [layer, await randomLayer(100_000)]);
      await put("gcr/acme/always");
      const pinned = await put("gcr/acme/pinned");
      await put("quay/acme/plain");
      const pods: Readonly<Record<string, Partial<TestContainer>>> = {
        "imagePullPolicy Always": { image: "gcr.io/acme/always:1", imagePullPolicy: "Always" },
        "a digest on the classic store": { image: `gcr.io/acme/pinned@${pinned}` },
        "a tag": { image: "quay.io/acme/plain:1" },
      };
      for (const [what, container] of Object.entries(pods)) {
        await t.step(`${what}: the pod runs, and never fails`, async () => {
          assertEquals(await reasonsUntilRunning(worker, what, container), []);
          await proxy.waitForLine(
            new RegExp(`\\[PullImage\\] +serving image: ${container.image} from ${mirror.host}/`),
          );
        });
      }

      await t.step(
        "the pod that waits for an image no mirror has says which mirror was asked, and its answer",
        async () => {
          await worker.addPod({ name: "absent", containers: [{ name: "app", image: "gcr.io/acme/absent:1" }] });
          const pod = await worker.waitForReason("absent", "app", "ErrImagePull");
          const message = pod.status?.containerStatuses?.[0]?.state?.waiting?.message ?? "";
          assertMatch(
            message,
            new RegExp(`manifest unknown: gilly: GET ${mirror.host}/gcr/acme/absent manifests/1: answered 404`),
          );
          await worker.removePod("absent");
        },
      );

      await t.step(
        "docker.io too, once daemon.json has what the plan prints, and until it has the way back",
        async () => {
          const plan = await redirect("plan");
          const mirrors = /^\{"registry-mirrors": .*\}$/m.exec(plan)![0];
          const setMirrors = async (json: string) => {
            await Deno.mkdir("/etc/docker", { recursive: true });
            await Deno.writeTextFile("/etc/docker/daemon.json", json);
            Deno.kill(Number(dockerd), "SIGHUP");
            await waitForInfo(
              worker,
              (info) => info.RegistryConfig.Mirrors.length === (json.includes("https") ? 1 : 0),
            );
          };
          await put("hub/library/tool");
          await setMirrors(mirrors);
          assertEquals(
            await reasonsUntilRunning(worker, "docker.io", { image: "tool:1", imagePullPolicy: "Always" }),
            [],
          );
          await proxy.waitForLine(/\[PullImage\] +serving image: docker\.io\/library\/tool:1 from /);
          await setMirrors('{"registry-mirrors": []}');
        },
      );

      await t.step("credentials that a pod has for the origin reach nobody", async () => {
        const headers = { "X-Registry-Auth": btoa(JSON.stringify({ ...MARKED, serveraddress: "gcr.io" })) };
        await callEngine(worker.engine, "POST", "/images/create?fromImage=gcr.io/acme/always&tag=1", { headers });
        assertEquals([...mirror.authorizations], []);
        const logs = `${proxy.journal.join("\n")}${await Deno.readTextFile(`${worker.dir}/ledger/proxy.jsonl`)}`;
        assert(!logs.includes(MARKED.password) && !logs.includes(btoa(`${MARKED.username}:${MARKED.password}`)));
      });

      await t.step("without the proxy and its redirect, a pull fails at once, and a repair does the rest", async () => {
        await proxy.end("SIGTERM");
        await redirect("down");
        await put("gcr/acme/repaired");
        await worker.addPod({ name: "repaired", containers: [{ name: "app", image: "gcr.io/acme/repaired:1" }] });
        await worker.waitForReason("repaired", "app", "ErrImagePull");
        assertEquals((await runGilly(["once", "--config", config])).code, 0);
        await worker.waitForRunning("repaired");
      });
      assertEquals(await Deno.readTextFile(`${worker.engine.dir}/dockerd.pid`), dockerd);
    });
  });
});

interface EngineInfo {
  readonly RegistryConfig: { readonly Mirrors: readonly string[] };
}

/** The Engine answers SIGHUP with nothing but what /info says afterwards. */
async function waitForInfo(worker: Worker, isAwaited: (info: EngineInfo) => boolean): Promise<void> {
  const giveUp = AbortSignal.timeout(PATIENCE_MS);
  while (!isAwaited(JSON.parse(await callEngine(worker.engine, "GET", "/info")))) {
    giveUp.throwIfAborted();
    await delay(50);
  }
}

/** Adds a pod with this container, waits until it runs, and returns the failures that it reported meanwhile. */
async function reasonsUntilRunning(worker: Worker, what: string, container: Partial<TestContainer>): Promise<string[]> {
  const name = what.toLowerCase().replace(/[^a-z]+/g, "-");
  const seen = new Set<string>();
  await worker.addPod({ name, containers: [{ name: "app", image: "", ...container }] });
  await worker.waitForPod(name, (pod) => {
    const reason = waitingReason(pod, "app");
    if (reason !== undefined && reason !== "ContainerCreating") seen.add(reason);
    return isRunning(pod);
  });
  await worker.removePod(name);
  return [...seen];
}
