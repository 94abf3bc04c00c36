// Cases of the runtime's own trouble: its plugins, its disk, its store, its containerd.

import { bare, type Case, IMAGE, type Scene } from "./case.ts";
import { layersOf, type Stock, stockOf, wholeImage } from "./images.ts";
import { type Answers, startMirror } from "./mirror.ts";
import { DIRECT } from "./network.ts";
import type { TextRuntime } from "./runtimes.ts";

const isDocker = ({ isDocker }: TextRuntime) => isDocker;

function pluginCase(label: string, name: string): Case {
  return { name, kind: "failed", isFor: isDocker, open: () => bare(`${label}.${DIRECT}:5000`) };
}

/** Cases of plugins that answer. */
export const PLUGIN_CASES: readonly Case[] = [
  pluginCase("policy-denies", "a plugin that denies"),
  pluginCase("policy-fails", "a plugin that fails"),
  pluginCase("policy-is-broken", "a plugin that answers 500"),
];

/** Cases that break the runtime; they run last, one after another. */
export const LAST_ENGINE_CASES: readonly Case[] = [
  fullDisk("a disk that is full before a layer has arrived", () => wholeImage("a full disk", 8_000_000)),
  fullDisk(
    "a disk that is full before a layer is unpacked",
    async () => stockOf({ layers: await layersOf([{ zeros: new Uint8Array(16_000_000) }]) }),
  ),
  {
    name: "a layer that is lost from the store",
    kind: "failed",
    async open({ runtime }) {
      const [below, above] = await layersOf([{ "made-for": "a lost layer" }, { "made-for": "the layer above it" }]);
      await using first = sceneOf(await stockOf({ layers: [below!] }));
      await runtime.client.pull(first.reference, { signal: AbortSignal.timeout(30_000) });
      for await (const { name } of Deno.readDir(runtime.layersFolder)) {
        await Deno.remove(`${runtime.layersFolder}/${name}`, { recursive: true });
      }
      return sceneOf(await stockOf({ layers: [below!, above!] }));
    },
  },
  {
    name: "the Engine's containerd is killed",
    kind: "failed",
    pattern: /^failed to copy: failed to send write: (?:.*: )?(?:EOF|connection reset by peer|broken pipe)$/,
    isFor: ({ name }) => name === "docker-28-containerd",
    async open({ runtime }) {
      const stock = await wholeImage("the Engine's containerd is killed");
      return sceneOf(stock, {
        layer: async (_request, normal) => {
          Deno.kill(Number(await Deno.readTextFile(`${runtime.dir}/exec/containerd/containerd.pid`)), "SIGKILL");
          return normal();
        },
      });
    },
  },
  {
    name: "a plugin whose socket is gone",
    kind: "failed",
    isFor: isDocker,
    async open({ network }) {
      await network.stopPlugin();
      return bare(`app.${DIRECT}:5000`);
    },
  },
];

function sceneOf(stock: Stock, answers: Answers = {}): Scene {
  const mirror = startMirror(stock, answers);
  return {
    reference: `127.0.0.1:${mirror.port}/${IMAGE}`,
    [Symbol.asyncDispose]: () => mirror[Symbol.asyncDispose](),
  };
}

function fullDisk(name: string, stock: () => Promise<Stock>): Case {
  return {
    name,
    kind: "disk-full",
    async open({ runtime: { disk } }) {
      const scene = sceneOf(await stock());
      const { stdout } = await new Deno.Command("df", { args: ["--output=used,size", "-B1", disk.dir] }).output();
      const [used = 0, size = 0] = new TextDecoder().decode(stdout).trim().split("\n").at(-1)!.split(/\s+/).map(Number);
      await disk.resize(used + 2_000_000);
      return {
        reference: scene.reference,
        async [Symbol.asyncDispose]() {
          await disk.resize(size);
          await scene[Symbol.asyncDispose]();
        },
      };
    },
  };
}
