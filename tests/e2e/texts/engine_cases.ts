// Cases of the runtime's own trouble: its plugins, its disk, its store.

import { bare, type Case, IMAGE } from "./case.ts";
import { wholeImage } from "./images.ts";
import { startMirror } from "./mirror.ts";
import { DIRECT } from "./network.ts";
import type { TextRuntime } from "./runtimes.ts";

const isDocker = ({ isDocker }: TextRuntime) => isDocker;

/** Cases of plugins that answer. */
export const PLUGIN_CASES: readonly Case[] = [
  {
    name: "a plugin that denies",
    kind: "failed",
    isFor: isDocker,
    open: () => bare(`policy-denies.${DIRECT}:5000`),
  },
  { name: "a plugin that fails", kind: "failed", isFor: isDocker, open: () => bare(`policy-fails.${DIRECT}:5000`) },
  {
    name: "a plugin that answers 500",
    kind: "failed",
    isFor: isDocker,
    open: () => bare(`policy-hangs-up.${DIRECT}:5000`),
  },
];

/** Cases that break the runtime; they run last, one after another. */
export const LAST_ENGINE_CASES: readonly Case[] = [
  {
    name: "a full disk",
    kind: "failed",
    async open({ runtime }) {
      const mirror = startMirror(await wholeImage("a full disk", 8_000_000));
      const { stdout } = await new Deno.Command("df", { args: ["--output=used", "-B1", runtime.disk.dir] }).output();
      const used = Number(new TextDecoder().decode(stdout).trim().split("\n").at(-1));
      await runtime.disk.resize(used + 2_000_000);
      return {
        reference: `127.0.0.1:${mirror.port}/${IMAGE}`,
        [Symbol.asyncDispose]: () => mirror[Symbol.asyncDispose](),
      };
    },
  },
];
