// The runtimes that the contract is tested on: a fake Engine and a fake containerd, and real ones with
// real registries.
import { ContainerdRuntime } from "../../lib/runtime/containerd/client.ts";
import { DockerRuntime } from "../../lib/runtime/docker/client.ts";
import { startCriContainerd } from "../e2e/containerd.ts";
import {
  type ImageFile,
  makeImage,
  pushImage,
  REGISTRY_USER,
  removeImage,
  startEngine,
  startRegistry,
} from "../e2e/engine.ts";
import { removeEverythingUnder } from "../e2e/leftovers.ts";
import { putImage, randomLayer } from "../e2e/registry_images.ts";
import { type FakeContainerd, startFakeContainerd } from "../fakes/containerd.ts";
import { type FakeDockerEngine, fakeImage, startDockerEngine } from "../fakes/docker_engine.ts";
import type { FakeRegistry } from "../fakes/registries.ts";
import type { RuntimeFixture } from "./runtime_contract.ts";

const NO_PROGRESS_MS = 1000;

const IMAGE = fakeImage("ansible-runner");

function fakeRegistries(): Record<string, FakeRegistry> {
  return {
    "mirror.example": { state: "up", images: { "sgryczan/ansible-runner:0.0.0": IMAGE } },
    "stalled.example": { state: "stalled", images: { "endless:1": fakeImage("endless") } },
    "guarded.example": { state: "up", images: { "a/b:1": fakeImage("guarded") }, credentials: REGISTRY_USER },
    "down.example": { state: "down", images: {} },
  };
}

const IN_FAKE_REGISTRIES = {
  served: "mirror.example/sgryczan/ansible-runner:0.0.0",
  digest: IMAGE.digest,
  missing: "mirror.example/sgryczan/ansible-runner:9",
  refused: "down.example/a/b:1",
  endless: "stalled.example/endless:1",
  guarded: "guarded.example/a/b:1",
  auth: REGISTRY_USER,
  noProgressMs: NO_PROGRESS_MS,
} as const;

/** Returns a DockerRuntime on the fake Engine. */
export function fakeFixture(imageStore: "classic" | "containerd"): Promise<RuntimeFixture> {
  return fixtureOnFake(async (socket) => ({
    runtime: new DockerRuntime({ socket, noProgressMs: NO_PROGRESS_MS }),
    fake: await startDockerEngine({ socket, imageStore, registries: fakeRegistries() }),
    tellsOfEveryLayer: true,
  }));
}

/** Returns a ContainerdRuntime on the fake containerd. */
export function fakeContainerdFixture(): Promise<RuntimeFixture> {
  return fixtureOnFake(async (socket) => ({
    runtime: new ContainerdRuntime({ socket, noProgressMs: NO_PROGRESS_MS }),
    fake: await startFakeContainerd({ socket, registries: fakeRegistries() }),
    tellsOfEveryLayer: false,
  }));
}

async function fixtureOnFake(
  start: (socket: string) => Promise<
    Pick<RuntimeFixture, "runtime" | "tellsOfEveryLayer"> & { readonly fake: FakeDockerEngine | FakeContainerd }
  >,
): Promise<RuntimeFixture> {
  const dir = await Deno.makeTempDir({ prefix: "gilly-contract-" });
  const { fake, ...rest } = await start(`${dir}/runtime.sock`);
  return {
    ...rest,
    ...IN_FAKE_REGISTRIES,
    forget: (reference) => Promise.resolve(fake.remove(reference)),
    stop: () => fake.stop(),
    start: () => fake.start(),
    async cleanup() {
      await fake.stop();
      await Deno.remove(dir, { recursive: true });
      if (fake.unexpected.length > 0) throw new Error(`unexpected calls: ${fake.unexpected.join(", ")}`);
    },
  };
}

/**
 * Returns a DockerRuntime on a real dockerd with a real registry; `start` starts the dockerd, by
 * default the one in PATH.
 */
export async function realFixture(start = startEngine): Promise<RuntimeFixture> {
  const dir = await Deno.makeTempDir({ prefix: "gilly-contract-" });
  await using begun = new AsyncDisposableStack();
  begun.defer(() => Deno.remove(dir, { recursive: true }));
  const engine = await start(`${dir}/engine`);
  begun.defer(() => engine.remove());
  const registry = await startRegistry(`${dir}/registry`);
  begun.defer(() => registry.remove());
  const guard = await startRegistry(`${dir}/guard`, { credentials: true });
  begun.defer(() => guard.remove());
  const brake = stallingProxy(registry.host);
  begun.defer(() => brake.close());

  const serve = async (reference: string, files: Record<string, ImageFile>) => {
    await makeImage(engine, reference, files);
    const digest = await pushImage(engine, reference);
    await removeImage(engine, reference);
    return digest;
  };
  const served = `${registry.host}/sgryczan/ansible-runner:0.0.0`;
  const digest = await serve(served, { hello: "there" });
  const guarded = `${guard.host}/a/b:1`;
  await serve(guarded, { hello: "you" });
  await serve(`${registry.host}/endless:1`, { big: crypto.getRandomValues(new Uint8Array(65536)) });
  const cleanup = begun.move();
  return {
    runtime: new DockerRuntime({ socket: engine.socket, noProgressMs: NO_PROGRESS_MS }),
    served,
    digest,
    missing: `${registry.host}/sgryczan/ansible-runner:9`,
    refused: "127.0.0.1:1/a/b:1",
    endless: `${brake.host}/endless:1`,
    guarded,
    auth: REGISTRY_USER,
    noProgressMs: NO_PROGRESS_MS,
    tellsOfEveryLayer: true,
    forget: (reference) => removeImage(engine, reference),
    stop: () => engine.stop(),
    start: () => engine.start(),
    cleanup: () => cleanup.disposeAsync(),
  };
}

/** Returns a ContainerdRuntime on a real containerd with CRI and real registries. */
export async function containerdFixture(): Promise<RuntimeFixture> {
  const dir = await Deno.makeTempDir({ prefix: "gilly-contract-" });
  await using begun = new AsyncDisposableStack();
  begun.defer(() => removeEverythingUnder(dir));
  const containerd = await startCriContainerd(`${dir}/containerd`);
  begun.use(containerd);
  const registry = await startRegistry(`${dir}/registry`);
  begun.defer(() => registry.remove());
  const guard = await startRegistry(`${dir}/guard`, { credentials: true });
  begun.defer(() => guard.remove());
  const brake = stallingProxy(registry.host);
  begun.defer(() => brake.close());

  const digest = await putImage(registry, "sgryczan/ansible-runner", "0.0.0", [await randomLayer(10_000)]);
  await putImage(registry, "endless", "1", [await randomLayer(100_000)]);
  await putImage({ host: guard.host, credentials: REGISTRY_USER }, "a/b", "1", [await randomLayer(10_000)]);
  const cleanup = begun.move();
  return {
    runtime: new ContainerdRuntime({ socket: containerd.socket, noProgressMs: NO_PROGRESS_MS }),
    served: `${registry.host}/sgryczan/ansible-runner:0.0.0`,
    digest,
    missing: `${registry.host}/sgryczan/ansible-runner:9`,
    refused: "127.0.0.1:1/a/b:1",
    endless: `${brake.host}/endless:1`,
    guarded: `${guard.host}/a/b:1`,
    auth: REGISTRY_USER,
    noProgressMs: NO_PROGRESS_MS,
    tellsOfEveryLayer: false,
    forget: async (reference) => void await containerd.ctr("images", "rm", "--sync", reference),
    stop: () => containerd.stop(),
    start: () => containerd.start(),
    cleanup: () => cleanup.disposeAsync(),
  };
}

/** Starts a proxy of a registry that sends the beginning of each large layer and then stalls. */
function stallingProxy(target: string): { readonly host: string; close(): Promise<void> } {
  const abort = new AbortController();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, signal: abort.signal, onListen: () => {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      const headers = { Accept: request.headers.get("Accept") ?? "*/*" };
      const response = await fetch(`http://${target}${pathname}`, { method: request.method, headers });
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (!pathname.includes("/blobs/") || bytes.byteLength < 65536) {
        return new Response(request.method === "HEAD" ? null : bytes, {
          status: response.status,
          headers: response.headers,
        });
      }
      const beginning = new ReadableStream({ start: (controller) => controller.enqueue(bytes.slice(0, 40000)) });
      return new Response(beginning, { headers: { "Content-Length": String(bytes.byteLength) } });
    },
  );
  return {
    host: `127.0.0.1:${server.addr.port}`,
    async close() {
      abort.abort();
      await server.finished;
    },
  };
}
