// A containerd of its own for tests, without the kubelet.

import { Daemon } from "./engine.ts";

/** Runs a program and returns its standard output; throws if it fails. */
export async function run(program: string, args: readonly string[], env: Record<string, string>): Promise<string> {
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
  await daemon.start("containerd successfully booted");
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
