// A complete fake worker in one folder: a kubelet, a Docker Engine or a containerd with registries,
// certificates and a config file.

import { type Authority, type ClientCertificateOptions, makeAuthority } from "./certificates.ts";
import { type FakeContainerd, type FakeContainerdOptions, startFakeContainerd } from "./containerd.ts";
import { type FakeDockerEngine, type FakeEngineOptions, type FakeImage, startDockerEngine } from "./docker_engine.ts";
import { type FakeKubelet, startKubelet } from "./kubelet.ts";
import type { PodDescription, RuntimeScheme } from "./kubelet_pods.ts";

/** What a node has besides its runtime. */
interface CommonOptions {
  readonly pods?: readonly PodDescription[];
  /** The runtime of the kubelet, if the config is to name another one than that. */
  readonly kubeletRuntime?: RuntimeScheme;
  /** The images that are on the node at the start. */
  readonly images?: Readonly<Record<string, FakeImage>>;
  /**
   * Gives Gilly a client certificate, by default with `CN=gilly` and valid for a day, instead of a
   * token. See missingForMtls for what this requires.
   */
  readonly client?: Partial<ClientCertificateOptions>;
  /** YAML that is appended to the config; by default rules for gcr.io and quay.io. */
  readonly config?: string;
  /** By default `ledger.jsonl` in the node's folder. */
  readonly ledgerFile?: string;
}

/** A node with Docker, which is the default. */
export interface FakeNodeOptions extends CommonOptions {
  readonly runtime?: "docker";
  readonly engine?: Partial<Omit<FakeEngineOptions, "socket">>;
}

/** A node with containerd. */
export interface FakeContainerdNodeOptions extends CommonOptions {
  readonly runtime: "containerd";
  readonly containerd?: Partial<Omit<FakeContainerdOptions, "socket">>;
}

/** A node with either runtime, as far as it does not matter which. */
export interface AnyFakeNode extends AsyncDisposable {
  readonly dir: string;
  readonly kubelet: FakeKubelet;
  readonly configFile: string;
  readonly ledgerFile: string;
}

/** A running node with Docker. */
export interface FakeNode extends AnyFakeNode {
  readonly engine: FakeDockerEngine;
}

/** A running node with containerd. */
export interface FakeContainerdNode extends AnyFakeNode {
  readonly containerd: FakeContainerd;
}

const TOKEN = "token-of-gilly";
const CERTIFICATE = "certFile: client.crt, keyFile: client.key";

const RULES = `
registries:
  gcr.io: mirror.example
  quay.io: [mirror.example, mirror-2.example]
poll: {interval: 1s}
`;

/** Starts the worker and lets its pods fail twice, so that the kubelet backs off from a third pull. */
export function startNode(options?: FakeNodeOptions): Promise<FakeNode>;
export function startNode(options: FakeContainerdNodeOptions): Promise<FakeContainerdNode>;
export async function startNode(
  options: FakeNodeOptions | FakeContainerdNodeOptions = {},
): Promise<FakeNode | FakeContainerdNode> {
  const dir = await Deno.makeTempDir({ prefix: "gilly-node-" });
  if (options.runtime === "containerd") {
    const containerd = await startFakeContainerd({ ...options.containerd, socket: `${dir}/containerd.sock` });
    return { ...await startAround(dir, "containerd", containerd, options), containerd };
  }
  const engine = await startDockerEngine({ ...options.engine, socket: `${dir}/docker.sock` });
  return { ...await startAround(dir, "docker", engine, options), engine };
}

/** Starts what a node has besides its runtime; closing it stops the runtime, too. */
async function startAround(
  dir: string,
  section: "docker" | "containerd",
  runtime: FakeDockerEngine | FakeContainerd,
  options: CommonOptions,
): Promise<AnyFakeNode> {
  for (const [reference, image] of Object.entries(options.images ?? {})) runtime.import(reference, image);
  const cluster = makeAuthority("cluster");
  const kubelet = await startKubelet({
    ...(options.client === undefined ? { tokens: [TOKEN] } : { clientCertificates: { ca: cluster.certificatePem } }),
    serverCertificate: cluster.issueServer({ dnsNames: ["localhost"] }),
    pods: options.pods ?? [],
    runtime: options.kubeletRuntime ?? section,
    isPresent: (reference) => runtime.has(reference),
  });
  await kubelet.advance(4);
  const configFile = `${dir}/config.yaml`;
  const ledgerFile = options.ledgerFile ?? `${dir}/ledger.jsonl`;
  await Promise.all([
    Deno.writeTextFile(`${dir}/ca.crt`, cluster.certificatePem),
    writeCredentials(dir, cluster, options.client),
    Deno.writeTextFile(
      configFile,
      `kubelet: {url: "${kubelet.url}", caFile: ca.crt, ${options.client ? CERTIFICATE : "tokenFile: token"}}\n` +
        `${section}: {socket: ${runtime.socket}}\nledger: {file: ${ledgerFile}}\n${options.config ?? RULES}`,
    ),
  ]);
  return {
    dir,
    kubelet,
    configFile,
    ledgerFile,
    async [Symbol.asyncDispose]() {
      await kubelet.close();
      await runtime.stop();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

async function writeCredentials(
  dir: string,
  cluster: Authority,
  client: CommonOptions["client"],
): Promise<void> {
  if (client === undefined) return await Deno.writeTextFile(`${dir}/token`, TOKEN, { mode: 0o600 });
  const { certificatePem, keyPem } = cluster.issueClient({ commonName: "gilly", ...client });
  await Deno.writeTextFile(`${dir}/client.crt`, certificatePem);
  await Deno.writeTextFile(`${dir}/client.key`, keyPem, { mode: 0o600 });
}
