// A complete fake worker in one folder: a kubelet, a Docker Engine with registries, certificates
// and a config file.

import { type Authority, type ClientCertificateOptions, makeAuthority } from "./certificates.ts";
import { type FakeDockerEngine, type FakeEngineOptions, type FakeImage, startDockerEngine } from "./docker_engine.ts";
import { type FakeKubelet, startKubelet } from "./kubelet.ts";
import type { PodDescription } from "./kubelet_pods.ts";

export interface FakeNodeOptions {
  readonly pods?: readonly PodDescription[];
  /** The images that are on the node at the start. */
  readonly images?: Readonly<Record<string, FakeImage>>;
  readonly engine?: Partial<Omit<FakeEngineOptions, "socket">>;
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

export interface FakeNode extends AsyncDisposable {
  readonly dir: string;
  readonly kubelet: FakeKubelet;
  readonly engine: FakeDockerEngine;
  readonly configFile: string;
  readonly ledgerFile: string;
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
export async function startNode(options: FakeNodeOptions = {}): Promise<FakeNode> {
  const dir = await Deno.makeTempDir({ prefix: "gilly-node-" });
  const cluster = makeAuthority("cluster");
  const engine = await startDockerEngine({ ...options.engine, socket: `${dir}/docker.sock` });
  for (const [reference, image] of Object.entries(options.images ?? {})) engine.import(reference, image);
  const kubelet = await startKubelet({
    ...(options.client === undefined ? { tokens: [TOKEN] } : { clientCertificates: { ca: cluster.certificatePem } }),
    serverCertificate: cluster.issueServer({ dnsNames: ["localhost"] }),
    pods: options.pods ?? [],
    isPresent: (reference) => engine.has(reference),
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
        `docker: {socket: ${engine.socket}}\nledger: {file: ${ledgerFile}}\n${options.config ?? RULES}`,
    ),
  ]);
  return {
    dir,
    kubelet,
    engine,
    configFile,
    ledgerFile,
    async [Symbol.asyncDispose]() {
      await kubelet.close();
      await engine.stop();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

async function writeCredentials(
  dir: string,
  cluster: Authority,
  client: FakeNodeOptions["client"],
): Promise<void> {
  if (client === undefined) return await Deno.writeTextFile(`${dir}/token`, TOKEN, { mode: 0o600 });
  const { certificatePem, keyPem } = cluster.issueClient({ commonName: "gilly", ...client });
  await Deno.writeTextFile(`${dir}/client.crt`, certificatePem);
  await Deno.writeTextFile(`${dir}/client.key`, keyPem, { mode: 0o600 });
}
