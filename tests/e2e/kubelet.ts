// The real kubelet for tests: it runs standalone, with static pods, on a loopback port, and shows
// its pods to clients whose certificate it accepts. Needs root, and a runtime that already runs.

import type { Pod, PodList } from "kubernetes-types/core/v1.d.ts";
import { freePort } from "../support/ports.ts";
import { Daemon, tried } from "./daemon.ts";

/** Paths of the PEM files of a kubelet and of a client it admits. */
export interface CertificateFiles {
  readonly caFile: string;
  readonly serverCertFile: string;
  readonly serverKeyFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** A running kubelet. */
export interface RealKubelet {
  /** `https://localhost:PORT`. */
  readonly url: string;
  /** The kubelet appends `-NODE` to the names of static pods. */
  readonly nodeName: string;
  /** Each JSON file here is a static pod. Files whose name begins with a dot are ignored. */
  readonly manifestDir: string;
  readonly logFile: string;
  /** The answer to GET /pods, over TLS with the client's certificate. */
  pods(): Promise<Pod[]>;
  /** Its process id while it runs. */
  readonly pid: number | undefined;
  /** Ends it without warning (SIGKILL); containers keep running. */
  kill(): Promise<void>;
  /** Stops it; containers keep running. Does nothing if it is not running. */
  stop(): Promise<void>;
  /** Starts it again on the same port. Resolves once it answers. */
  start(): Promise<void>;
  /**
   * Restarts it so that its disk seems full. It then collects, within some seconds, every image that
   * no container uses and that was there when it started.
   */
  restartWithFullDisk(): Promise<void>;
  /** Stops it and closes the client's connections. Its directory stays. */
  remove(): Promise<void>;
}

/** The image of the sandboxes, which no test repairs. */
export const PAUSE_IMAGE = "k8s.gcr.io/pause:3.2";

/** What a kubelet needs. */
export interface KubeletOptions {
  readonly binary: string;
  readonly certificates: CertificateFiles;
  /** The command that starts it, and its arguments that name the runtime. */
  readonly launcher: readonly string[];
  readonly args: readonly string[];
}

/** Starts a kubelet under `dir`, and resolves once it answers. */
export async function startKubelet(dir: string, options: KubeletOptions): Promise<RealKubelet> {
  const { binary, certificates, launcher: [program = binary, ...launcher] } = options;
  const nodeName = `gilly-${crypto.randomUUID().slice(0, 8)}`;
  const manifestDir = `${dir}/manifests`;
  const logFile = `${dir}/kubelet.log`;
  await Deno.mkdir(manifestDir, { recursive: true });

  const writeConfig = (port: number, nodefs: string) =>
    Deno.writeTextFile(`${dir}/kubelet.json`, kubeletConfig(port, manifestDir, certificates, nodefs));
  const { port, daemon } = await startOnFreePort(async (port) => {
    await writeConfig(port, "0%");
    const command = [binary, ...kubeletArguments(dir, nodeName), ...options.args];
    return new Daemon(program, [...launcher, ...command], logFile);
  });
  const client = Deno.createHttpClient({
    caCerts: [await Deno.readTextFile(certificates.caFile)],
    cert: await Deno.readTextFile(certificates.certFile),
    key: await Deno.readTextFile(certificates.keyFile),
  });
  const url = `https://localhost:${port}`;
  return {
    url,
    nodeName,
    manifestDir,
    logFile,
    async pods() {
      const response = await fetch(`${url}/pods`, { client });
      if (response.status !== 200) throw new Error(`GET ${url}/pods: ${response.status} ${await response.text()}`);
      return (await response.json() as { items: PodList["items"] | null }).items ?? [];
    },
    get pid() {
      return daemon.pid;
    },
    kill: () => daemon.stop("SIGKILL"),
    stop: () => daemon.stop("SIGTERM"),
    start: () => started(daemon),
    async restartWithFullDisk() {
      await daemon.stop("SIGTERM");
      // It takes 100% for no threshold at all.
      await writeConfig(port, "99%");
      await started(daemon);
    },
    async remove() {
      await daemon.stop("SIGTERM");
      client.close();
    },
  };
}

/**
 * Arguments of unshare(1) that give a command its own mount namespace, so that nothing it changes
 * outlives it. A folder follows, then the command.
 */
export const PRIVATE_VIEW = ["--mount", "--propagation=slave", new URL("./private_view.sh", import.meta.url).pathname];

/** What the kubelet logs right before it listens, and once everything that can end it at its start is done. */
const READY_TEXTS = ["Starting to listen on", "Starting kubelet main sync loop"];

/** How often a kubelet that ends before it is ready is started; a host's systemd never gives up. */
const STARTS = 3;

// It ends if the mounts of the machine change while it reads them (pkg/volume/util/hostutil).
function started(daemon: Daemon): Promise<void> {
  return tried(STARTS, async () => void await daemon.start(...READY_TEXTS));
}

// The kubelet does not accept port 0, and a port that was free a moment ago may be taken: then
// another is tried.
function startOnFreePort(prepare: (port: number) => Promise<Daemon>): Promise<{ port: number; daemon: Daemon }> {
  return tried(STARTS, async () => {
    const port = freePort();
    const daemon = await prepare(port);
    await daemon.start(...READY_TEXTS);
    return { port, daemon };
  });
}

function kubeletArguments(dir: string, nodeName: string): string[] {
  return [
    `--config=${dir}/kubelet.json`,
    `--root-dir=${dir}/root`,
    `--cert-dir=${dir}/root/pki`,
    `--volume-plugin-dir=${dir}/root/volume-plugins`,
    `--hostname-override=${nodeName}`,
    `--pod-infra-container-image=${PAUSE_IMAGE}`,
  ];
}

/** `nodefs` is how much of the disk must be free. No static pod is ever evicted. */
function kubeletConfig(port: number, manifestDir: string, certificates: CertificateFiles, nodefs: string): string {
  return JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: "127.0.0.1",
    port,
    healthzPort: 0,
    readOnlyPort: 0,
    tlsCertFile: certificates.serverCertFile,
    tlsPrivateKeyFile: certificates.serverKeyFile,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: false },
      x509: { clientCAFile: certificates.caFile },
    },
    authorization: { mode: "AlwaysAllow" },
    staticPodPath: manifestDir,
    fileCheckFrequency: "2s",
    cgroupDriver: "cgroupfs",
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    makeIPTablesUtilChains: false,
    // A full disk on the test machine must not matter: collect no image.
    evictionHard: { "memory.available": "0%", "nodefs.available": nodefs, "imagefs.available": "0%" },
    imageGCHighThresholdPercent: 100,
    // Its sockets are outside root-dir, where a second kubelet would remove them.
    featureGates: { DevicePlugins: false },
  });
}
