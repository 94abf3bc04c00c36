// The container runtime of a test's worker: what tests and the kubelet need of it, the same for
// Docker and for containerd.

import { delay } from "@std/async/delay";
import type { RuntimeKind } from "../../lib/runtime/open.ts";
import { type CriContainerd, startCriContainerd } from "./containerd.ts";
import { busyboxFiles, callEngine, makeImage, type RealEngine, removeImage, startEngine } from "./engine.ts";
import { PAUSE_IMAGE, PRIVATE_VIEW } from "./kubelet.ts";
import { layoutOf, SLEEP, sleeperImage } from "./registry_images.ts";

/** A running container runtime. */
export type WorkerRuntime = DockerWorkerRuntime | ContainerdWorkerRuntime;

/** What every runtime has. Names are references with a tag, as pods spell them. */
interface CommonRuntime {
  /** Its key in a config of Gilly. */
  readonly kind: RuntimeKind;
  readonly socket: string;
  readonly logFile: string;
  /** Where it reads HOST/hosts.toml, if it does. */
  readonly certsFolder?: string;
  /** A command that starts the kubelet, and the kubelet's arguments for this runtime; `dir` is the kubelet's folder. */
  kubelet(dir: string): { readonly launcher: readonly string[]; readonly args: readonly string[] };
  /** The process id while it runs. */
  pid(): Promise<number | undefined>;
  /** Puts an image that sleeps into its store and returns the image's id. */
  addImage(reference: string): Promise<string>;
  /** Returns the id of the image that a name has in its store, or undefined. */
  imageId(reference: string): Promise<string | undefined>;
  /** Removes a name, and the image with its last name. */
  removeImage(reference: string): Promise<void>;
  /** Stops it as systemd would; containers keep running if the runtime lets them. */
  stop(): Promise<void>;
  /** Ends it without warning (SIGKILL). */
  kill(): Promise<void>;
  /** Starts it again on the same socket and data. Resolves once it answers. */
  start(): Promise<void>;
  /** Ends every container, then the runtime. */
  end(): Promise<void>;
}

/** Docker with its Engine, which the kubelet uses through its dockershim. */
export interface DockerWorkerRuntime extends CommonRuntime {
  readonly kind: "docker";
  readonly engine: RealEngine;
}

/** containerd, which the kubelet uses by CRI. */
export interface ContainerdWorkerRuntime extends CommonRuntime {
  readonly kind: "containerd";
  readonly containerd: CriContainerd;
}

/** Starts a Docker Engine, and with it the image of the sandboxes, under `dir`. */
export async function startDockerRuntime(dir: string, start = startEngine): Promise<DockerWorkerRuntime> {
  const wrapper = new URL("./oom_wrap.sh", import.meta.url).pathname;
  const engine = await start(dir, { args: ["--add-runtime", `wrap=${wrapper}`, "--default-runtime", "wrap"] });
  const { socket, logFile } = engine;
  const runtime: DockerWorkerRuntime = {
    kind: "docker",
    engine,
    socket,
    logFile,
    kubelet: (dir) => ({
      // The Engine does not see the mounts that the kubelet makes.
      launcher: ["unshare", ...PRIVATE_VIEW, `${dir}/kernel`],
      args: [
        "--container-runtime=docker",
        `--docker-endpoint=unix://${socket}`,
        `--docker=unix://${socket}`,
        `--experimental-dockershim-root-directory=${dir}/dockershim`,
        // Where its dockershim serves CRI to it; by default all kubelets share one socket in /var/run.
        `--container-runtime-endpoint=unix://${dir}/dockershim.sock`,
      ],
    }),
    pid: async () => Number(await Deno.readTextFile(`${engine.dir}/dockerd.pid`).catch(() => "")) || undefined,
    async addImage(reference) {
      const files = { ...await busyboxFiles(), "made-for": reference };
      return await makeImage(engine, reference, files, [`CMD ${JSON.stringify(SLEEP)}`]);
    },
    async imageId(reference) {
      const images = JSON.parse(await callEngine(engine, "GET", "/images/json")) as {
        Id: string;
        RepoTags: string[] | null;
      }[];
      return images.find((image) => image.RepoTags?.includes(reference))?.Id;
    },
    removeImage: (reference) => removeImage(engine, reference),
    stop: () => engine.stop(),
    kill: () => engine.kill(),
    start: () => engine.start(),
    async end() {
      await removeContainers(engine);
      await engine.stop();
    },
  };
  await runtime.addImage(PAUSE_IMAGE);
  return runtime;
}

// Without containers dockerd ends at once. Containers of a dead dockerd are ended later, with their
// shims.
async function removeContainers(engine: RealEngine): Promise<void> {
  try {
    const containers = JSON.parse(await callEngine(engine, "GET", "/containers/json?all=1")) as { Id: string }[];
    await Promise.all(containers.map(({ Id }) => callEngine(engine, "DELETE", `/containers/${Id}?force=1`)));
  } catch {
    // A test may have killed it.
  }
}

/** Starts a containerd with CRI, and with it the image of the sandboxes, under `dir`. */
export async function startContainerdRuntime(dir: string): Promise<ContainerdWorkerRuntime> {
  const containerd = await startCriContainerd(dir, { sandboxImage: PAUSE_IMAGE });
  const { socket, logFile, certsFolder } = containerd;
  const runtime: ContainerdWorkerRuntime = {
    kind: "containerd",
    containerd,
    socket,
    logFile,
    certsFolder,
    kubelet: () => ({
      // containerd must see the kubelet's mounts.
      launcher: containerd.inside,
      args: [
        "--container-runtime=remote",
        `--container-runtime-endpoint=unix://${socket}`,
        `--containerd=${socket}`,
      ],
    }),
    pid: () => Promise.resolve(containerd.pid),
    async addImage(reference) {
      const image = await sleeperImage(reference);
      const file = `${dir}/import-${crypto.randomUUID()}.tar`;
      await Deno.writeFile(file, layoutOf(reference, image));
      await containerd.ctr("images", "import", file);
      await Deno.remove(file);
      // The CRI plugin follows containerd's events, and labels what it has noticed.
      while (!/cri-containerd\.image=managed/.test(await containerd.ctr("images", "list", `name==${reference}`))) {
        await delay(20);
      }
      return image.configuration.digest;
    },
    imageId: (reference) => containerd.imageId(reference),
    removeImage: async (reference) => void await containerd.ctr("images", "rm", "--sync", reference),
    stop: () => containerd.stop(),
    kill: () => containerd.stop("SIGKILL"),
    start: () => containerd.start(),
    end: async () => await containerd[Symbol.asyncDispose](),
  };
  await runtime.addImage(PAUSE_IMAGE);
  return runtime;
}
