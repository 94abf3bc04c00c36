// A real Kubernetes worker for tests, on loopback and under one temporary folder: Docker or
// containerd, mirrors, kubelet. A start that fails cleans up, and stop() leaves nothing behind.

import { delay } from "@std/async/delay";
import { stringify } from "@std/yaml";
import type { Container, Pod } from "kubernetes-types/core/v1.d.ts";
import type { RuntimeKind } from "../../lib/runtime/open.ts";
import { type Authority, makeAuthority } from "../fakes/certificates.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { kubeletBinary } from "../support/requirements.ts";
import { type RealEngine, type RealRegistry, REGISTRY_USER, type startEngine, startRegistry } from "./engine.ts";
import { type CertificateFiles, type RealKubelet, startKubelet } from "./kubelet.ts";
import { removeEverythingUnder } from "./leftovers.ts";
import { isRunning, waitingReason } from "./pod_state.ts";
import { pushTo, sleeperImage } from "./registry_images.ts";
import { startContainerdRuntime, startDockerRuntime, type WorkerRuntime } from "./runtimes.ts";

/** A container of a test's pod; its pull policy is IfNotPresent by default. */
export type TestContainer = Pick<Container, "name" | "image"> & Partial<Container>;

/** A pod to run, on the host's network, as the worker has no other. */
export interface TestPod {
  readonly name: string;
  readonly namespace?: string;
  readonly annotations?: Record<string, string>;
  readonly initContainers?: readonly TestContainer[];
  readonly containers: readonly TestContainer[];
}

/** Keys of a Gilly config that add to those of the worker, or override them. */
export type TestConfig = { readonly registries: Record<string, string | readonly string[]> } & Record<string, unknown>;

const POLL_MS = 200;

/** What a worker is made of besides its kubelet. */
export interface WorkerOptions {
  /** One by default. */
  readonly mirrors?: 1 | 2;
  /** The mirror with this index admits only REGISTRY_USER. */
  readonly guarded?: number;
  /** By default Docker. */
  readonly runtime?: RuntimeKind;
  /** The Engine of Docker, by default the one on PATH. */
  readonly startEngine?: typeof startEngine;
}

/** The files, and the CA that signed all of them. */
export interface WorkerCertificates extends CertificateFiles {
  readonly authority: Authority;
}

/** Starts a worker in a folder of its own. If it cannot, cleans up and throws. */
export async function startWorker(options: WorkerOptions = {}): Promise<Worker> {
  const binary = kubeletBinary();
  if (binary === undefined) throw new Error("no kubelet: KUBELET_BIN is not set");
  await using parts = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir({ prefix: "gilly-e2e-" });
  parts.defer(() => removeEverythingUnder(dir));
  const mirrors: RealRegistry[] = [];
  for (let index = 0; index < (options.mirrors ?? 1); index++) {
    const credentials = index === options.guarded;
    const mirror = await startRegistry(`${dir}/mirror-${index}`, { credentials });
    parts.defer(() => mirror.stop());
    mirrors.push(mirror);
  }
  const runtime = await startRuntime(dir, options);
  parts.defer(() => runtime.end());
  const certificates = await writeCertificates(dir);
  const kubeletOptions = { binary, certificates, ...runtime.kubelet(`${dir}/kubelet`) };
  const kubelet = await startKubelet(`${dir}/kubelet`, kubeletOptions);
  parts.defer(() => kubelet.remove());
  return new Worker(dir, runtime, mirrors, kubelet, certificates, parts.move());
}

function startRuntime(dir: string, { runtime, startEngine }: WorkerOptions): Promise<WorkerRuntime> {
  return runtime === "containerd"
    ? startContainerdRuntime(`${dir}/containerd`)
    : startDockerRuntime(`${dir}/engine`, startEngine);
}

/**
 * Runs `use` with a worker of its own, then stops the worker. If `use` fails, prints the end of
 * every log.
 */
export async function withWorker(
  options: WorkerOptions,
  use: (worker: Worker) => Promise<void>,
): Promise<void> {
  const worker = await startWorker(options);
  try {
    await use(worker);
  } catch (error) {
    console.error(await worker.logs());
    throw error;
  } finally {
    await worker.stop();
  }
}

/** A running worker. Every wait polls the kubelet as any client can, and throws on a timeout. */
export class Worker {
  readonly #parts: AsyncDisposableStack;

  constructor(
    readonly dir: string,
    readonly runtime: WorkerRuntime,
    readonly mirrors: readonly RealRegistry[],
    readonly kubelet: RealKubelet,
    readonly certificates: WorkerCertificates,
    parts: AsyncDisposableStack,
  ) {
    this.#parts = parts;
  }

  /** The Docker Engine. Throws on a worker without one. */
  get engine(): RealEngine {
    if (this.runtime.kind !== "docker") throw new Error(`the runtime is ${this.runtime.kind}, not docker`);
    return this.runtime.engine;
  }

  /** Where `writeConfig` puts the ledger. */
  get ledgerFile(): string {
    return `${this.dir}/ledger/ledger.jsonl`;
  }

  /** The host of the mirror with that index, `127.0.0.1:PORT`. */
  mirrorHost(index: number): string {
    return this.#mirror(index).host;
  }

  /**
   * Puts an image into a mirror, or the same one into several, as `path:tag`, and returns its id,
   * which is the digest of its configuration. Each path and tag has its own image, which sleeps
   * unless `command` is given.
   */
  async seed(
    indexes: number | readonly number[],
    pathAndTag: string,
    command?: readonly string[],
  ): Promise<string> {
    const [, path = "", tag = ""] = /^(.*):([^:]*)$/.exec(pathAndTag) ?? [];
    const image = await sleeperImage(pathAndTag, command);
    for (const index of [indexes].flat()) {
      await pushTo({ host: this.mirrorHost(index), credentials: REGISTRY_USER }, path, tag, image);
    }
    return image.configuration.digest;
  }

  /** Puts an image that sleeps into the runtime's store under this name, as if it had been pulled before. */
  addImage(reference: string): Promise<string> {
    return this.runtime.addImage(reference);
  }

  /** Returns the id of the image that a name has in the runtime's store, or undefined. */
  imageId(reference: string): Promise<string | undefined> {
    return this.runtime.imageId(reference);
  }

  /** Counts how often a repository's manifests were fetched from a mirror: once per pull. */
  async pullsFrom(index: number, path: string): Promise<number> {
    const log = await Deno.readTextFile(this.#mirror(index).logFile);
    const manifest = new RegExp(
      `response completed.* http.request.method=GET .* http.request.uri="?/v2/${path}/manifests/`,
    );
    return log.split("\n").filter((line) => manifest.test(line)).length;
  }

  /** Gives the kubelet a static pod. */
  async addPod(pod: TestPod): Promise<void> {
    const { name, namespace = "default", annotations = {}, initContainers = [], containers } = pod;
    const complete = (container: TestContainer): Container => ({ imagePullPolicy: "IfNotPresent", ...container });
    const manifest: Pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace, annotations },
      spec: {
        hostNetwork: true,
        terminationGracePeriodSeconds: 1,
        initContainers: initContainers.map(complete),
        containers: containers.map(complete),
      },
    };
    // The kubelet watches this folder and must never see a partial file.
    await Deno.writeTextFile(this.#manifest(`.${name}`), JSON.stringify(manifest));
    await Deno.rename(this.#manifest(`.${name}`), this.#manifest(name));
  }

  /** Removes a static pod; the kubelet then ends it. */
  async removePod(name: string): Promise<void> {
    await Deno.remove(this.#manifest(name));
  }

  /** The kubelet's answer to GET /pods. */
  pods(): Promise<Pod[]> {
    return this.kubelet.pods();
  }

  /** Waits until the kubelet reports a pod that satisfies `predicate`, and returns it. */
  async waitForPod(name: string, predicate: (pod: Pod) => boolean): Promise<Pod> {
    const fullName = `${name}-${this.kubelet.nodeName}`;
    const giveUp = AbortSignal.timeout(PATIENCE_MS);
    let last: unknown;
    while (!giveUp.aborted) {
      try {
        const pod = (await this.pods()).find(({ metadata }) => metadata?.name === fullName);
        if (pod !== undefined && predicate(pod)) return pod;
        last = pod?.status;
      } catch (error) {
        last = error;
      }
      await delay(POLL_MS);
    }
    throw new Error(`pod ${name} did not come to that state within ${PATIENCE_MS / 1000} s: ${JSON.stringify(last)}`, {
      cause: last instanceof Error ? last : undefined,
    });
  }

  /** Waits until the pod is Running with every container running. */
  waitForRunning(name: string): Promise<Pod> {
    return this.waitForPod(name, isRunning);
  }

  /** Waits until a container of any kind has one of these waiting reasons. */
  waitForReason(name: string, container: string, reasons: string | readonly string[]): Promise<Pod> {
    return this.waitForPod(name, (pod) => [reasons].flat().includes(waitingReason(pod, container) ?? ""));
  }

  stopKubelet(): Promise<void> {
    return this.kubelet.stop();
  }

  async restartKubelet(): Promise<void> {
    await this.kubelet.stop();
    await this.kubelet.start();
  }

  async restartEngine(): Promise<void> {
    await this.engine.stop();
    await this.engine.start();
  }

  /** Ends dockerd and its containerd without warning, as a crash would; engine.start() brings them back. */
  killEngine(): Promise<void> {
    return this.engine.kill();
  }

  /** Writes a config file for Gilly on this worker, with its runtime unless one is named, and returns its path. */
  async writeConfig(config: TestConfig, fileName = "config.yaml"): Promise<string> {
    const { caFile, certFile, keyFile } = this.certificates;
    const path = `${this.dir}/${fileName}`;
    await Deno.mkdir(`${this.dir}/ledger`, { recursive: true });
    const whole = {
      kubelet: { url: this.kubelet.url, caFile, certFile, keyFile },
      ...("docker" in config || "containerd" in config ? {} : { [this.runtime.kind]: { socket: this.runtime.socket } }),
      ledger: { file: this.ledgerFile },
      poll: { interval: "1s" },
      ...config,
    };
    await Deno.writeTextFile(path, stringify(whole));
    return path;
  }

  /** The last lines of every log under `dir`, each under its path. */
  async logs(lines = 40): Promise<string> {
    const files = [this.kubelet, this.runtime, ...this.mirrors].map(({ logFile }) => logFile);
    for await (const { name } of Deno.readDir(this.dir)) {
      if (name.endsWith(".log")) files.unshift(`${this.dir}/${name}`);
    }
    const tails = files.map(async (file) => {
      const text = (await Deno.readTextFile(file).catch(String)).trimEnd().split("\n");
      return `--- ${file}\n${text.slice(-lines).join("\n")}\n`;
    });
    return (await Promise.all(tails)).join("\n");
  }

  /** Ends everything and removes `dir`. */
  stop(): Promise<void> {
    return this.#parts.disposeAsync();
  }

  #mirror(index: number): RealRegistry {
    const mirror = this.mirrors[index];
    if (mirror === undefined) throw new Error(`there is no mirror ${index}`);
    return mirror;
  }

  #manifest(name: string): string {
    return `${this.kubelet.manifestDir}/${name}.json`;
  }
}

async function writeCertificates(dir: string): Promise<WorkerCertificates> {
  const authority = makeAuthority("gilly-e2e");
  const server = authority.issueServer({ dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] });
  const client = authority.issueClient({ commonName: "gilly", organization: "system:masters" });
  const write = async (name: string, text: string) => {
    const path = `${dir}/${name}`;
    await Deno.writeTextFile(path, text, { mode: 0o600 });
    return path;
  };
  return {
    authority,
    caFile: await write("ca.crt", authority.certificatePem),
    serverCertFile: await write("kubelet.crt", server.certificatePem),
    serverKeyFile: await write("kubelet.key", server.keyPem),
    certFile: await write("client.crt", client.certificatePem),
    keyFile: await write("client.key", client.keyPem),
  };
}
