// A containerd of its own for tests: without CRI, which pulls by hosts.toml files alone, or with it,
// as a kubelet uses it.

import { delay } from "@std/async/delay";
import { PATIENCE_MS } from "../support/patience.ts";
import { Daemon } from "./daemon.ts";
import { PRIVATE_VIEW } from "./kubelet.ts";

/**
 * The environment variable with a root folder, such as one by debootstrap, whose /usr has the
 * containerd to test; by default the one in PATH is.
 */
const CONTAINERD_ROOT = "GILLY_CONTAINERD_ROOT";

/** The namespace of everything that a kubelet's containerd has. */
const KUBELETS_NAMESPACE = "k8s.io";

const BOOTED = "containerd successfully booted";

/** Runs a program and returns its standard output; throws if it fails. */
export async function run(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const output = await new Deno.Command(program, { args: [...args], env, stdin: "null" }).output();
  const [stdout = "", stderr = ""] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!output.success) throw new Error(`${program} ${args.join(" ")}: ${stderr.trim()}`);
  return stdout;
}

/** Starts a containerd in a folder, without CRI. `pull` uses a folder of hosts.toml files and returns the image's digest. */
export async function startContainerd(
  { dir, env }: { readonly dir: string; readonly env: Record<string, string> },
): Promise<
  AsyncDisposable & { pull(hosts: string, name: string): Promise<string> }
> {
  const address = `${dir}/containerd.sock`;
  await Deno.writeTextFile(
    `${dir}/containerd.toml`,
    `version = 2\nroot = "${dir}/containerd/root"\nstate = "${dir}/containerd/state"\n` +
      `disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n` +
      `[grpc]\n  address = "${address}"\n[ttrpc]\n  address = "${address}.ttrpc"\n`,
  );
  const daemon = new Daemon("containerd", ["--config", `${dir}/containerd.toml`], `${dir}/containerd.log`);
  await daemon.start(BOOTED);
  const ctr = (...args: string[]) => run("ctr", ["--address", address, "--namespace", "gilly", ...args], env);
  return {
    async pull(hosts, name) {
      await ctr("images", "pull", "--snapshotter", "native", "--hosts-dir", hosts, name);
      const line = (await ctr("images", "list", `name==${name}`)).trim().split("\n")[1] ?? "";
      return line.split(/\s+/)[2] ?? "";
    },
    [Symbol.asyncDispose]: () => daemon.stop(),
  };
}

/** A containerd with its CRI plugin. Disposing of it ends its containers, then itself. */
export interface CriContainerd extends AsyncDisposable {
  readonly socket: string;
  /** Where it reads HOST/hosts.toml. */
  readonly certsFolder: string;
  readonly logFile: string;
  /** The process id while it runs. */
  readonly pid: number | undefined;
  /** A command that runs another in the mount namespace of this containerd and its shims. */
  readonly inside: readonly string[];
  /** Runs `ctr` in the kubelet's namespace and returns its standard output. */
  ctr(...args: string[]): Promise<string>;
  /** Returns the id of the image that a name has, which is the digest of its configuration, or undefined. */
  imageId(name: string): Promise<string | undefined>;
  start(): Promise<void>;
  /** Resolves once it has ended. */
  stop(signal?: Deno.Signal): Promise<void>;
}

/**
 * Starts a containerd with CRI below a folder, which it creates. `programs` is a folder that it sees as
 * /usr; by default CONTAINERD_ROOT decides.
 */
export async function startCriContainerd(
  dir: string,
  { sandboxImage = "k8s.gcr.io/pause:3.2", programs = programsInRoot() }: {
    readonly sandboxImage?: string;
    readonly programs?: string | undefined;
  } = {},
): Promise<CriContainerd> {
  await Deno.mkdir(`${dir}/certs.d`, { recursive: true });
  const socket = `${dir}/containerd.sock`;
  const config = `${dir}/containerd.toml`;
  const logFile = `${dir}/containerd.log`;
  await Deno.writeTextFile(config, criConfig(dir, socket, sandboxImage));
  const view = await openView(dir, programs);
  const [nsenter, ...enter] = view.inside;
  const daemon = new Daemon(nsenter!, [...enter, "containerd", "--config", config], logFile);
  const start = async () => {
    await daemon.start(BOOTED);
    await untilInitialized(socket);
  };
  await start().catch(async (error) => {
    await view.close();
    throw error;
  });
  const ctr: CriContainerd["ctr"] = (...words) =>
    run(nsenter!, [...enter, "ctr", "--address", socket, "--namespace", KUBELETS_NAMESPACE, ...words]);
  return {
    socket,
    certsFolder: `${dir}/certs.d`,
    logFile,
    get pid() {
      return daemon.pid;
    },
    inside: view.inside,
    ctr,
    async imageId(name) {
      const line = (await ctr("images", "list", `name==${name}`)).trim().split("\n")[1];
      if (line === undefined) return undefined;
      const manifest = JSON.parse(await ctr("content", "get", line.split(/\s+/)[2]!));
      return manifest.config.digest;
    },
    start,
    stop: (signal) => daemon.stop(signal),
    async [Symbol.asyncDispose]() {
      if (daemon.pid !== undefined) await endTasks(ctr);
      await daemon.stop();
      await view.close();
    },
  };
}

/** The folder that CONTAINERD_ROOT names, or an empty text. */
function programsInRoot(): string {
  const root = Deno.env.get(CONTAINERD_ROOT);
  return root ? `${root}/usr` : "";
}

/** CRI refuses calls for a moment after containerd has booted. */
async function untilInitialized(socket: string): Promise<void> {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket }, http1: false, http2: true });
  const giveUp = AbortSignal.timeout(PATIENCE_MS);
  const headers = { "content-type": "application/grpc", te: "trailers" };
  for (;;) {
    const asked = { client, method: "POST", headers, body: new Uint8Array(5), signal: giveUp };
    const response = await fetch("http://localhost/runtime.v1.RuntimeService/Status", asked);
    await response.arrayBuffer();
    if (response.headers.get("grpc-status") === null) return;
    await delay(20);
  }
}

// A killed shim would leave the control groups of its containers behind.
async function endTasks(ctr: CriContainerd["ctr"]): Promise<void> {
  try {
    const tasks = (await ctr("tasks", "list", "--quiet")).split("\n").filter((task) => task !== "");
    await Promise.allSettled(tasks.map((task) => ctr("tasks", "delete", "--force", task)));
  } catch {
    // It may have ended by itself.
  }
}

/**
 * Opens a mount namespace that lasts until it is closed, so that containerd and the kubelet, which
 * must share one, can both be restarted.
 */
async function openView(
  dir: string,
  programs: string,
): Promise<{ readonly inside: readonly string[]; close(): Promise<void> }> {
  const held = `${dir}/view`;
  await Deno.writeTextFile(held, "");
  const script = '[ -z "$1" ] || mount --bind "$1" /usr; echo open >&2; exec tail -f "$0"';
  const command = ["sh", "-c", script, held, programs];
  const holder = new Daemon("unshare", [...PRIVATE_VIEW, `${dir}/kernel`, ...command], `${dir}/view.log`);
  await holder.start("open");
  return { inside: ["nsenter", `--mount=/proc/${holder.pid}/ns/mnt`], close: () => holder.stop("SIGKILL") };
}

/**
 * `restrict_oom_score_adj`: only with CAP_SYS_RESOURCE may a process lower its OOM score, which the
 * kubelet requests for every sandbox.
 */
function criConfig(dir: string, socket: string, sandboxImage: string): string {
  return `version = 2
root = "${dir}/root"
state = "${dir}/state"
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "${dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${sandboxImage}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "${dir}/certs.d"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${dir}/cni"
    conf_dir = "${dir}/cni"
`;
}
