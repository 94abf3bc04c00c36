// A worker's /etc/gilly in a folder, gilly-credentials on it, and a cluster whose kubectl signs what it is told to.

import { PROJECT } from "../../tools/deno.ts";
import { type Authority, makeAuthority } from "../fakes/certificates.ts";

/** The group that owns the worker's /etc/gilly; no such group has to exist. */
export const GROUP = 4242;

/** How a command ended. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What the tests of gilly-credentials lack here, in words. */
export function missingForCredentials(): string[] {
  const hasOpenssl = (Deno.env.get("PATH") ?? "").split(":").some((folder) => isFile(`${folder}/openssl`));
  return [...(Deno.uid() === 0 ? [] : ["root"]), ...(hasOpenssl ? [] : ["openssl"])];
}

export class Bench implements AsyncDisposable {
  /** Everything lies in here, and commands run in it. */
  readonly dir: string = Deno.makeTempDirSync({ prefix: "gilly-credentials-" });
  readonly root = `${this.dir}/root`;
  readonly etc = `${this.root}/etc/gilly`;
  readonly cluster = `${this.dir}/cluster`;
  readonly authority: Authority;

  /** The cluster signs with this authority. */
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

  /** A file of the cluster's stand-in; tests/fakes/kubectl says what each does. */
  setCluster(file: string, text: string): void {
    Deno.writeTextFileSync(`${this.cluster}/${file}`, text);
  }

  /** Puts a file below the worker's root. */
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
    const { code, stdout, stderr } = await child.output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trimEnd();
    return { code, out: text(stdout), err: text(stderr) };
  }

  /** The same; throws when it fails. */
  async sh(script: string, env: Record<string, string> = {}, stdin = ""): Promise<string> {
    const { code, out, err } = await this.run(script, env, stdin);
    if (code !== 0) throw new Error(`'${script}' ended with ${code}: ${err || out}`);
    return out;
  }

  /** Every file of the worker's /etc/gilly but the config: its mode, owner, group and text, by its name. */
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

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
