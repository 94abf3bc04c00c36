// A containerd of its own for tests: without CRI, which pulls by hosts.toml files alone, or with it,
// as a kubelet uses it.

import { ImageService } from "../../lib/runtime/containerd/messages/cri_pb.ts";
import { RawClient } from "../fakes/grpc_call.ts";
import { Daemon } from "./engine.ts";

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

/** A containerd with its CRI plugin. */
export interface CriContainerd {
  readonly socket: string;
  /** Where it reads HOST/hosts.toml. */
  readonly certsFolder: string;
  readonly logFile: string;
  /** The process id while it runs. */
  readonly pid: number | undefined;
  /** Runs `ctr` in the kubelet's namespace and returns its standard output. */
  ctr(...args: string[]): Promise<string>;
  start(): Promise<void>;
  /** Resolves once it has ended. */
  stop(signal?: Deno.Signal): Promise<void>;
}

/** Options of startCriContainerd. */
export interface CriContainerdOptions {
  /** Image of every pod's sandbox. */
  readonly sandboxImage?: string;
  /** A program and its arguments that run containerd, by default none. */
  readonly launcher?: readonly string[];
}

/** Starts a containerd with CRI below a folder, which it creates. */
export async function startCriContainerd(dir: string, options: CriContainerdOptions = {}): Promise<CriContainerd> {
  const { sandboxImage = "k8s.gcr.io/pause:3.2", launcher = [] } = options;
  await Deno.mkdir(`${dir}/certs.d`, { recursive: true });
  const socket = `${dir}/containerd.sock`;
  const config = `${dir}/containerd.toml`;
  const logFile = `${dir}/containerd.log`;
  await Deno.writeTextFile(config, criConfig(dir, socket, sandboxImage));
  const [program = "containerd", ...args] = [...launcher, "containerd", "--config", config];
  const daemon = new Daemon(program, args, logFile);
  const start = async () => {
    await daemon.start(BOOTED);
    await initialized(socket);
  };
  await start();
  return {
    socket,
    certsFolder: `${dir}/certs.d`,
    logFile,
    get pid() {
      return daemon.pid;
    },
    ctr: (...words) => run("ctr", ["--address", socket, "--namespace", KUBELETS_NAMESPACE, ...words]),
    start,
    stop: (signal) => daemon.stop(signal),
  };
}

/** An image that is nowhere. */
const NOTHING = { image: { image: "nothing.invalid/nothing:1" } };

/** Waits until CRI answers, which is a moment after containerd has booted. */
async function initialized(socket: string): Promise<void> {
  using client = new RawClient(socket);
  const deadline = AbortSignal.timeout(20_000);
  const isReady = async () =>
    (await client.call(ImageService.method.imageStatus, NOTHING, { signal: deadline })).status === 0;
  while (!(await isReady())) await new Promise((resolve) => setTimeout(resolve, 20));
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
