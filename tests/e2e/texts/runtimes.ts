// The runtimes whose texts are in the table, each as Gilly's client sees it.

import { ContainerdRuntime } from "../../../lib/runtime/containerd/client.ts";
import { DockerRuntime } from "../../../lib/runtime/docker/client.ts";
import type { Runtime } from "../../../lib/runtime/runtime.ts";
import { mountTmpfs, type SmallDisk } from "../../faults/tmpfs.ts";
import { startCriContainerd } from "../containerd.ts";
import { currentTree, startCurrentEngine } from "../current_engine.ts";
import { startEngine } from "../engine.ts";
import { PLUGIN } from "./network.ts";

/** A running runtime with a disk of its own. */
export interface TextRuntime extends AsyncDisposable {
  readonly name: RuntimeId;
  readonly isDocker: boolean;
  readonly client: Runtime;
  readonly dir: string;
  /** Where it unpacks layers. */
  readonly layersFolder: string;
  /** Its images. */
  readonly disk: SmallDisk;
}

/** The names of the runtimes in the table. */
export type RuntimeId = keyof typeof RUNTIMES;

const DISK_BYTES = 400_000_000;
/** How long a runtime may be silent; the longest time-out of an Engine is 15 s. */
const NO_PROGRESS_MS = 30_000;

const SNAPSHOTS = "io.containerd.snapshotter.v1.overlayfs/snapshots";

const ENGINE_ARGS = [
  `--authorization-plugin=${PLUGIN}`,
  "--max-concurrent-downloads=100",
  "--max-download-attempts=1",
];

const currentEngine = (hasSnapshotter: boolean) => (dir: string) =>
  startCurrentEngine(dir, { args: [...ENGINE_ARGS, "--feature", `containerd-snapshotter=${hasSnapshotter}`] });

/** What starts each of them in a folder. */
export const RUNTIMES = {
  "docker-20.10": (dir: string) =>
    openEngine("docker-20.10", dir, (dir) => startEngine(dir, { args: ENGINE_ARGS }), "overlay2"),
  "docker-28": (dir: string) => openEngine("docker-28", dir, currentEngine(false), "overlay2"),
  "docker-28-containerd": (dir: string) =>
    openEngine("docker-28-containerd", dir, currentEngine(true), `containerd/daemon/${SNAPSHOTS}`),
  "containerd-1.6": (dir: string) => openContainerd("containerd-1.6", dir),
  "containerd-2.1": async (dir: string) => await openContainerd("containerd-2.1", dir, await currentTree()),
} as const;

async function openEngine(
  name: RuntimeId,
  dir: string,
  start: typeof startEngine,
  layers: string,
): Promise<TextRuntime> {
  const disk = await mountTmpfs(DISK_BYTES, `${dir}/data`);
  const engine = await start(dir);
  const client = new DockerRuntime({ socket: engine.socket, noProgressMs: NO_PROGRESS_MS });
  const layersFolder = `${dir}/data/${layers}`;
  return disposable({ name, isDocker: true, client, layersFolder, dir, disk }, () => engine.stop());
}

async function openContainerd(name: RuntimeId, dir: string, programs?: string): Promise<TextRuntime> {
  const disk = await mountTmpfs(DISK_BYTES, `${dir}/root`);
  const containerd = await startCriContainerd(dir, { programs });
  const client = new ContainerdRuntime({ socket: containerd.socket, noProgressMs: NO_PROGRESS_MS });
  const parts = { name, isDocker: false, client, layersFolder: `${dir}/root/${SNAPSHOTS}`, dir, disk };
  return disposable(parts, () => containerd[Symbol.asyncDispose]());
}

function disposable(parts: Omit<TextRuntime, typeof Symbol.asyncDispose>, stop: () => PromiseLike<void>): TextRuntime {
  return {
    ...parts,
    async [Symbol.asyncDispose]() {
      parts.client.close();
      await stop();
      await parts.disk[Symbol.asyncDispose]();
    },
  };
}
