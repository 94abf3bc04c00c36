// The files of `gilly export --via-proxy` as containerd and a Docker Engine with the containerd
// image store read them: each request goes through the registry proxy, by all rules.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { inTemporaryFolder } from "../support/folder.ts";
import { inOwnNetwork, missingForOwnNetwork } from "../support/own_network.ts";
import { freePort } from "../support/ports.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { redirected, runHelper, sh } from "../support/redirect_bench.ts";
import { missingForProgram } from "../support/requirements.ts";
import { startContainerd } from "./containerd.ts";
import { missingForCurrentEngine, startCurrentEngine } from "./current_engine.ts";
import { callEngine, missingPrograms, type RealEngine, startRegistry } from "./engine.ts";
import { putImage, randomLayer } from "./registry_images.ts";

interface Stage {
  readonly dir: string;
  /** The path of the config. */
  readonly config: string;
  /** Puts a unique image into the mirror and returns its digest. */
  push(repository: string): Promise<string>;
  /** The images that the proxy has served. */
  served(): string[];
}

/** Starts a mirror and the proxy, and puts the exported files where the runtime reads them. */
function withProxy(format: string, use: (stage: Stage) => Promise<void>): Promise<void> {
  return inTemporaryFolder(async (dir) => {
    const mirror = await startRegistry(`${dir}/mirror`);
    const config = `${dir}/config.yaml`;
    const files = { certFile: `${dir}/proxy.crt`, keyFile: `${dir}/proxy.key`, ledgerFile: `${dir}/proxy.jsonl` };
    await Deno.writeTextFile(
      config,
      JSON.stringify({
        kubelet: { url: "http://127.0.0.1:10255" },
        registries: {
          "gcr.io": `${mirror.host}/gcr`,
          "gcr.io/team": `${mirror.host}/special`,
          "*.pkg.dev": `${mirror.host}/pkg/{registry}`,
          "docker.io": `${mirror.host}/hub`,
        },
        proxy: { listen: freePort(), ...files },
      }),
    );
    await redirected("prepare", config);
    await using proxy = startProgram(["proxy", "--config", config], { RUNTIME_DIRECTORY: dir });
    await proxy.waitForLine(/serving .* at 127\.0\.0\.1:/);
    const { code, stderr } = await runProgram([
      "export",
      format,
      "--via-proxy",
      "--output",
      `${dir}/root`,
      "--config",
      config,
    ]);
    assertEquals(code, 0, stderr);
    const copied = await sh(`cp -r ${dir}/root/etc/. /etc/`);
    assertEquals(copied.code, 0, copied.err);
    try {
      await use({
        dir,
        config,
        push: async (repository) => await putImage({ host: mirror.host }, repository, "1", [await randomLayer(100)]),
        served: () => proxy.journal.flatMap((line) => /serving image: (\S+) from/.exec(line)?.[1] ?? []),
      });
    } finally {
      await mirror.stop();
    }
  });
}

/** Images, and where the rules say that the mirror has them. */
const IMAGES = {
  "gcr.io/a/b:1": "gcr/a/b",
  "gcr.io/team/app:1": "special/app",
  "europe.pkg.dev/p/q:1": "pkg/europe.pkg.dev/p/q",
  "docker.io/library/busybox:1": "hub/library/busybox",
};

const missing = [...missingForOwnNetwork(), ...missingForProgram(), ...missingPrograms(["docker-registry"])];

inOwnNetwork(
  import.meta.url,
  [...missing, ...missingForCurrentEngine(), ...missingPrograms(["containerd", "ctr"])],
  () => {
    Deno.test("containerd pulls through the proxy: paths, wildcards and docker.io by the rules", () =>
      withProxy("containerd", async ({ dir, push, served }) => {
        await using containerd = await startContainerd({ dir, env: { HOME: dir } });
        for (const [image, repository] of Object.entries(IMAGES)) {
          const digest = await push(repository);
          assertEquals([image, await containerd.pull("/etc/containerd/certs.d", image)], [image, digest]);
        }
        assertEquals(served(), Object.keys(IMAGES));
      }));

    Deno.test("a Docker Engine with the containerd image store does, too", () =>
      withProxy("docker", async ({ dir, push, served }) => {
        const engine = await startCurrentEngine(`${dir}/engine`);
        try {
          for (const [image, repository] of Object.entries(IMAGES)) {
            await assertPulls(engine, image, await push(repository));
          }
          assertEquals(served(), Object.keys(IMAGES));
        } finally {
          await engine.remove();
        }
      }));

    Deno.test("without those files it is led there by the redirect, as an older Engine is", () =>
      withProxy("docker", async ({ dir, config, push, served }) => {
        await Deno.remove("/etc/docker/certs.d", { recursive: true });
        const up = await runHelper("up", config);
        const engine = await startCurrentEngine(`${dir}/engine`);
        try {
          assertEquals(up.code, 0, up.err);
          await assertPulls(engine, "gcr.io/a/b:1", await push("gcr/a/b"));
          assertEquals(served(), ["gcr.io/a/b:1"]);
        } finally {
          await engine.remove();
          await runHelper("down", config);
        }
      }));
  },
);

async function assertPulls(engine: RealEngine, image: string, digest: string): Promise<void> {
  const answer = await callEngine(engine, "POST", `/images/create?${new URLSearchParams({ fromImage: image })}`);
  assertStringIncludes(answer, `Digest: ${digest}`, `${image}: ${answer}`);
}
