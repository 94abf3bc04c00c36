// A real worker's Docker and kubelet, and a bare host with nothing else: the state before Gilly is
// installed.

import { delay } from "@std/async/delay";
import manifest from "../../deno.json" with { type: "json" };
import { HOST } from "../../tools/architectures.ts";
import { makeRelease } from "../../tools/release.ts";
import { SUMS, writeSums } from "../../tools/sums.ts";
import { startWorker, type Worker } from "../e2e/worker.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { GILLY, missingForBinary, missingForWorker } from "../support/requirements.ts";
import { missingForHost } from "./base_tree.ts";
import { bootHost, type Host } from "./host.ts";

/** Where the host sees the folder of the Docker socket, which comes and goes with Docker. */
const DOCKER_FOLDER = "/opt/docker";

/** The folder of the client's certificates, which only root can read, as on a kubeadm host. */
const PKI = "/root/pki";

export const VERSION = manifest.version;

/** What this machine lacks for an installation next to a real worker. */
export function missingForInstalledHost(): string[] {
  return [...missingForWorker(), ...missingForRelease()];
}

/** What this machine lacks for an installation without a worker. */
export function missingForRelease(): string[] {
  return [...missingForBinary(), ...missingForHost()];
}

/** The path of that release's install.sh on a host, once `unpackRelease` has put it there. */
export function installer(version = VERSION): string {
  return `/root/gilly-${version}-linux-${HOST}/install.sh`;
}

/** Makes a release of `binary`, copies its archive to the host, checks it there, and unpacks it. */
export async function unpackRelease(host: Host, binary: Uint8Array, version = VERSION): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "gilly-release-" });
  try {
    await Deno.writeFile(`${directory}/gilly`, binary);
    const archive = await makeRelease({ binary: `${directory}/gilly`, version, directory });
    const name = archive.slice(archive.lastIndexOf("/") + 1);
    await writeSums(directory, [archive]);
    for (const file of [name, SUMS]) {
      await host.put(`/root/${file}`, await Deno.readFile(`${directory}/${file}`));
    }
    await host.sh(`sha256sum --check --quiet ${SUMS} && tar -xzf ${name}`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** A worker, and next to it a host with an unpacked release. */
export class Stage implements AsyncDisposable {
  readonly worker: Worker;
  readonly host: Host;
  readonly #parts: AsyncDisposableStack;

  private constructor(worker: Worker, host: Host, parts: AsyncDisposableStack) {
    this.worker = worker;
    this.host = host;
    this.#parts = parts;
  }

  /** Starts the worker, boots the host, and puts a release and the kubelet's certificates on it. */
  static async set(): Promise<Stage> {
    const stage = await Stage.withoutRelease();
    try {
      await unpackRelease(stage.host, await Deno.readFile(GILLY));
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  /**
   * The same without a release; the host sees these folders of this machine: path here -> there. It boots from `tree`,
   * by default the bare host's.
   */
  static async withoutRelease(binds: Readonly<Record<string, string>> = {}, tree?: string): Promise<Stage> {
    await using parts = new AsyncDisposableStack();
    const worker = await startWorker();
    parts.defer(() => worker.stop());
    const folder = worker.engine.socket.replace(/\/[^/]*$/, "");
    const host = parts.use(
      await bootHost({ ...(tree === undefined ? {} : { tree }), binds: { [folder]: DOCKER_FOLDER, ...binds } }),
    );
    const { caFile, certFile, keyFile } = worker.certificates;
    for (const [file, name] of [[caFile, "ca.crt"], [certFile, "client.crt"], [keyFile, "client.key"]] as const) {
      await host.put(`${PKI}/${name}`, await Deno.readFile(file), 0o600);
    }
    return new Stage(worker, host, parts.move());
  }

  /** The flags with which install.sh or gilly-setup writes a config for this worker. */
  flags(): string {
    const mirror = this.worker.mirrorHost(0);
    const { url } = this.worker.kubelet;
    return [
      `--kubelet-url ${url} --kubelet-ca ${PKI}/ca.crt`,
      `--kubelet-cert ${PKI}/client.crt --kubelet-key ${PKI}/client.key`,
      `--mirror gcr.io=${mirror} --mirror quay.io=${mirror}`,
    ].join(" ");
  }

  /**
   * Does what Docker's package does on a host: makes its group, and its socket at the usual place.
   */
  async bringDocker(): Promise<void> {
    const socket = `${DOCKER_FOLDER}/docker.sock`;
    await this.host.sh(`groupadd --gid "$(stat -c %g ${socket})" docker && ln -s ${socket} /run/docker.sock`);
  }

  /** Waits for a status line of the daemon; the journal does not report its changes. */
  async waitForStatus(pattern: RegExp): Promise<string> {
    const giveUp = AbortSignal.timeout(PATIENCE_MS);
    for (let status = "";; await delay(100)) {
      if (giveUp.aborted) throw new Error(`the status was not ${pattern} within ${PATIENCE_MS / 1000} s: ${status}`);
      status = await this.host.property("StatusText");
      if (pattern.test(status)) return status;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}
