// Many images at once through one mirror, compared with docker pulls of the same list at the same
// concurrency.

import {
  missingPrograms,
  type RealEngine,
  type RealRegistry,
  removeImage,
  startEngine,
  startRegistry,
} from "../e2e/engine.ts";
import { putImage, randomLayer } from "../e2e/registry_images.ts";
import { GILLY, missingForBinary } from "../support/requirements.ts";
import { type Finding, fixed, type Measurement, median, type RunOptions } from "./measurement.ts";
import { podListOf, realSizePod } from "./pods.ts";
import { startFixedKubelet, writeConfig } from "./stand_ins.ts";

const CONCURRENCY = 4;
const LAYER_BYTES = 100_000;

export const storm: Measurement = {
  name: "storm",
  title: "Storm",
  missing: () => [...missingPrograms(), ...missingPrograms(["docker"]), ...missingForBinary()],
  async run(options: RunOptions): Promise<Finding> {
    const count = options.quick ? 40 : 200;
    await using parts = new AsyncDisposableStack();
    const dir = await Deno.makeTempDir({ prefix: "gilly-bench-" });
    parts.defer(() => Deno.remove(dir, { recursive: true }));
    const mirror = await startRegistry(`${dir}/mirror`);
    parts.defer(() => mirror.remove());
    const engine = await startEngine(`${dir}/engine`);
    parts.defer(() => engine.remove());
    const paths = await seed(mirror, count, options);
    const images = paths.map((path) => ({ original: `gcr.io/${path}:1`, mirrored: `${mirror.host}/${path}:1` }));

    const kubelet = startFixedKubelet(podListOf(images.map(({ original }, index) =>
      realSizePod(index, original, {
        waiting: { reason: "ImagePullBackOff", message: `Back-off pulling image "${original}"` },
      })
    )));
    parts.use(kubelet);
    const config = await writeConfig(dir, kubelet, engine.socket, {
      registries: { "gcr.io": mirror.host },
      repair: { concurrency: CONCURRENCY },
    });
    const times = { docker: [] as number[], gilly: [] as number[] };
    for (let run = 0; run < (options.quick ? 3 : 5); run++) {
      // The second one finds warmer caches, so they take turns.
      const order = run % 2 === 0 ? ["docker", "gilly"] as const : ["gilly", "docker"] as const;
      for (const who of order) {
        const seconds = who === "docker" ? await timeDocker(engine, images) : await timeGilly(config);
        times[who].push(seconds);
        options.say(`storm ${run + 1}, ${who}: ${fixed(seconds, 1)} s`);
        await forget(engine, images, who === "gilly");
      }
    }
    return findingOf(count, times);
  },
};

interface Image {
  readonly original: string;
  readonly mirrored: string;
}

function findingOf(count: number, times: { readonly docker: number[]; readonly gilly: number[] }): Finding {
  const ratio = median(times.gilly.map((seconds, run) => seconds / times.docker[run]!));
  const row = (what: string, seconds: readonly number[], ratio: string) => [
    what,
    fixed(median(seconds), 1),
    fixed(Math.min(...seconds), 1),
    fixed(Math.max(...seconds), 1),
    ratio,
  ];
  return {
    method:
      `${count} images of one layer of ${fixed(LAYER_BYTES / 1000)} kB through one mirror, ${CONCURRENCY} at a time: ` +
      `\`gilly once\` for ${count} pods that wait for them, beside \`docker pull --quiet\` of the same list. Real Engine, ` +
      `real registry, stand-in kubelet; ${times.gilly.length} runs each, in turns.`,
    headings: ["seconds", "median", "min", "max", "ratio"],
    rows: [row("gilly once", times.gilly, fixed(ratio, 2)), row("docker pull", times.docker, "")],
    aims: [{ what: "storm beside docker pull", measured: ratio, limit: 1.15, unit: "", digits: 2 }],
    notes: [
      "Gilly also looks before and after, tags, verifies and writes its ledger; docker is one process for each image.",
    ],
  };
}

async function seed(mirror: RealRegistry, count: number, { say }: RunOptions): Promise<string[]> {
  say("putting images into the mirror");
  const paths = Array.from({ length: count }, (_, index) => `storm/image-${index}`);
  for (const path of paths) await putImage(mirror, path, "1", [await randomLayer(LAYER_BYTES)]);
  return paths;
}

async function timeDocker(engine: RealEngine, images: readonly Image[]): Promise<number> {
  const before = performance.now();
  const left = [...images];
  const pullOn = async () => {
    for (let image = left.shift(); image !== undefined; image = left.shift()) {
      const { success } = await new Deno.Command("docker", {
        args: ["--host", `unix://${engine.socket}`, "pull", "--quiet", image.mirrored],
        stdin: "null",
        stdout: "null",
        stderr: "inherit",
      }).output();
      if (!success) throw new Error(`docker could not pull ${image.mirrored}`);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, pullOn));
  return (performance.now() - before) / 1000;
}

async function timeGilly(config: string): Promise<number> {
  const before = performance.now();
  const { code, stderr } = await new Deno.Command(GILLY, { args: ["once", "--config", config], stdin: "null" })
    .output();
  const seconds = (performance.now() - before) / 1000;
  const repaired = new TextDecoder().decode(stderr).split("\n").filter((line) => line.includes("[TagImage]")).length;
  if (code !== 0) throw new Error(`gilly once ended with ${code} after ${repaired} repairs`);
  return seconds;
}

async function forget(engine: RealEngine, images: readonly Image[], tagged: boolean): Promise<void> {
  for (const { original, mirrored } of images) {
    if (tagged) await removeImage(engine, original);
    await removeImage(engine, mirrored);
  }
}
