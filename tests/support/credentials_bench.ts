// A test bench for gilly-credentials: a worker's /etc/gilly in a temporary folder, and a fake
// kubectl of a cluster that signs requests.

import { PROJECT } from "../../tools/deno.ts";
import { type Authority, makeAuthority } from "../fakes/certificates.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { notOnPath } from "./programs.ts";

/** The group that owns the worker's /etc/gilly; it need not exist. */
export const GROUP = 4242;

/** Returns what this machine lacks for the tests of gilly-credentials, in words. */
export function missingForCredentials(): string[] {
  return [...(Deno.uid() === 0 ? [] : ["root"]), ...notOnPath(["openssl"])];
}

/** A worker's /etc/gilly and a cluster, in a temporary folder. */
export class Bench implements AsyncDisposable {
  /** The folder that holds everything; commands run in it. */
  readonly dir: string = Deno.makeTempDirSync({ prefix: "gilly-credentials-" });
  readonly root = `${this.dir}/root`;
  readonly etc = `${this.root}/etc/gilly`;
  readonly cluster = `${this.dir}/cluster`;
  readonly authority: Authority;

  /** Makes a cluster that signs with this authority. */
  constructor(authority: Authority = makeAuthority("kubernetes")) {
    this.authority = authority;
    for (const folder of [this.etc, this.cluster, `${this.dir}/bin`]) Deno.mkdirSync(folder, { recursive: true });
    Deno.chownSync(this.etc, 0, GROUP);
    Deno.writeTextFileSync(`${this.cluster}/ca.crt`, authority.certificatePem);
    Deno.writeTextFileSync(`${this.cluster}/ca.key`, authority.keyPem);
    this.setCluster("usage", "clientAuth");
    this.setCluster("nodes", "node/worker-10\n");
    const script = (name: string, text: string) =>
      Deno.writeTextFileSync(`${this.dir}/bin/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    script(
      "gilly-credentials",
      `exec \${GILLY_SHELL:-sh} ${PROJECT}systemd/gilly-credentials "$@" --root "${this.root}"`,
    );
    script("kubectl", `exec ${PROJECT}tests/fakes/kubectl "$@"`);
    script("ssh", 'shift\nexec "$@"');
  }

  /** Writes a file of the fake cluster; tests/fakes/kubectl documents each. */
  setCluster(file: string, text: string): void {
    Deno.writeTextFileSync(`${this.cluster}/${file}`, text);
  }

  /** Writes a file below the worker's root. */
  put(path: string, text: string): void {
    Deno.mkdirSync(`${this.root}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.writeTextFileSync(`${this.root}/${path}`, text);
  }

  /** Runs a shell script with kubectl, ssh and gilly-credentials on PATH. */
  async run(script: string, env: Record<string, string> = {}, stdin = ""): Promise<Outcome> {
    const child = new Deno.Command("sh", {
      args: ["-ec", script],
      cwd: this.dir,
      env: { PATH: `${this.dir}/bin:${Deno.env.get("PATH")}`, CLUSTER: this.cluster, ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(stdin)).catch(() => {});
    await writer.close().catch(() => {});
    return outcomeOf(await child.output());
  }

  /** Runs a script as `run` does and returns its output; throws if it fails. */
  async sh(script: string, env: Record<string, string> = {}, stdin = ""): Promise<string> {
    const { code, out, err } = await this.run(script, env, stdin);
    if (code !== 0) throw new Error(`'${script}' ended with ${code}: ${err || out}`);
    return out;
  }

  /** Returns mode, owner, group and text of every file in /etc/gilly except the config, by name. */
  files(): Record<string, { readonly owner: string; readonly text: string }> {
    const names = [...Deno.readDirSync(this.etc)].map(({ name }) => name).filter((name) => name !== "config.yaml");
    const entries = names.map((name) => {
      const { mode, uid, gid } = Deno.statSync(`${this.etc}/${name}`);
      const text = Deno.readTextFileSync(`${this.etc}/${name}`);
      return [name, { owner: `${((mode ?? 0) & 0o7777).toString(8)} ${uid}:${gid}`, text }] as const;
    });
    return Object.fromEntries(entries.sort(([a], [b]) => a < b ? -1 : 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}
