// The files that both packages bring, where they are on a host, and their modes. install.sh puts the
// same files below its prefix.

import { gzipSync } from "fflate";
import type { Architecture } from "../architectures.ts";
import { buildEpoch, PROJECT } from "../deno.ts";
import { noticesOf, partsOf, sbomOf } from "../parts.ts";

export interface PackageOptions {
  /** The path of the compiled program. */
  readonly binary: string;
  /** As in deno.json, such as `1.2.0` or `1.2.0-rc.1`. */
  readonly version: string;
  readonly architecture: Architecture;
  /** Where the packages are written; must exist. */
  readonly directory: string;
  /** Compresses little, for tests; by default as well as the format's usual readers can take. */
  readonly quick?: boolean;
}

/** Where a package has what formats differ in. */
export interface Places {
  /** The folder of zsh's completions. */
  readonly zsh: string;
}

/** Those who made Gilly, as LICENSE names them. They have no mail address, so this one is none. */
export const MAINTAINER = "The Gilly authors <noreply@gilly.invalid>";

/** The folder of the templates and scriptlets. */
const TEMPLATES = `${PROJECT}tools/packages/`;

const PROGRAMS = ["gilly-setup", "gilly-credentials", "gilly-redirect"];
const UNITS = [
  "gilly.service",
  "gilly-proxy.service",
  "gilly-redirect.service",
  "gilly-renew.path",
  "gilly-renew.service",
  "gilly-this-host.service",
];
const SHARED = ["systemd/config.example.yaml", "systemd/config.package.yaml", "docs/credentials.md"];
export const DOCS = "/usr/share/doc/gilly";

/** Writes files below one folder. Modes are set, so that the builder's umask does not matter. */
export class Tree {
  constructor(readonly root: string) {}

  /** Writes a file, and the folders above it, at its path on a host. */
  async put(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
    await Deno.mkdir(this.root + folderOf(path), { recursive: true });
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(this.root + path, bytes);
    await Deno.chmod(this.root + path, mode);
  }

  /** Copies a file of the project. */
  async copy(source: string, path: string, mode = 0o644): Promise<void> {
    await this.put(path, await Deno.readFile(PROJECT + source), mode);
  }

  /** Gives folders their modes, and everything the time of the build; returns the paths of the files, sorted. */
  async finish(modes: Readonly<Record<string, number>> = {}): Promise<string[]> {
    const files: string[] = [];
    const visit = async (path: string): Promise<void> => {
      for await (const { name, isDirectory } of Deno.readDir(this.root + path)) {
        if (isDirectory) await visit(`${path}/${name}`);
        else files.push(`${path}/${name}`);
        await Deno.utime(`${this.root}${path}/${name}`, buildEpoch(), buildEpoch());
      }
      await Deno.chmod(this.root + path, modes[path] ?? 0o755);
    };
    await visit("");
    await Deno.utime(this.root, buildEpoch(), buildEpoch());
    return files.toSorted();
  }
}

/** Puts everything into a tree that is the same in every format. */
export async function fill(tree: Tree, { binary, architecture }: PackageOptions, { zsh }: Places): Promise<void> {
  await tree.put("/usr/bin/gilly", await Deno.readFile(binary), 0o755);
  for (const name of PROGRAMS) await tree.copy(`systemd/${name}`, `/usr/bin/${name}`, 0o755);
  for (const name of UNITS) {
    await tree.put(`/usr/lib/systemd/system/${name}`, below("/usr", await textOf(`systemd/${name}`)));
  }
  for (const name of await filesIn("systemd/setup")) {
    await tree.copy(`systemd/setup/${name}`, `/usr/share/gilly/setup/${name}`);
  }
  for (const path of SHARED) await tree.copy(path, `/usr/share/gilly/${path.replace(/^.*\//, "")}`);
  await tree.copy("systemd/config.package.yaml", "/etc/gilly/config.yaml", 0o640);
  await tree.put("/usr/lib/sysusers.d/gilly.conf", await templateOf("gilly.sysusers"));
  await tree.put("/usr/lib/tmpfiles.d/gilly.conf", await templateOf("gilly.tmpfiles"));
  for (const name of ["gilly", ...PROGRAMS]) {
    await tree.put(`/usr/share/man/man8/${name}.8.gz`, zipped(await textOf(`docs/${name}.8`)));
  }
  await tree.copy("docs/gilly.bash", "/usr/share/bash-completion/completions/gilly");
  await tree.copy("docs/gilly.zsh", `${zsh}/_gilly`);
  await tree.copy("docs/gilly.fish", "/usr/share/fish/vendor_completions.d/gilly.fish");
  await document(tree, architecture);
}

/** The modes of folders that are not for everybody. */
export const FOLDER_MODES = { "/etc/gilly": 0o750 };

// The pages keep their places to one another, so that their links lead somewhere.
async function document(tree: Tree, architecture: Architecture): Promise<void> {
  for (const name of await filesIn("docs")) {
    if (name.endsWith(".md")) await tree.copy(`docs/${name}`, `${DOCS}/docs/${name}`);
  }
  for (const name of await filesIn("docs/monitoring")) {
    await tree.copy(`docs/monitoring/${name}`, `${DOCS}/docs/monitoring/${name}`);
  }
  for (const path of await filesBelow("contrib")) await tree.copy(path, `${DOCS}/${path}`);
  await tree.copy("README.md", `${DOCS}/README.md`);
  const parts = await partsOf(architecture);
  await tree.put(`${DOCS}/sbom.cdx.json`, sbomOf(parts));
  await tree.put(`${DOCS}/THIRD-PARTY-NOTICES`, noticesOf(parts));
}

/** Returns a text with the paths of install.sh's default prefix replaced by those below `prefix`. */
function below(prefix: string, text: string): string {
  return text.replaceAll(/\/usr\/local\/(?=bin\/|share\/)/g, `${prefix}/`);
}

/** Returns a text of the project. */
export function textOf(path: string): Promise<string> {
  return Deno.readTextFile(PROJECT + path);
}

/** Returns a template with its `@NAMES@` replaced. Throws Error on a name without a value. */
export async function templateOf(name: string, values: Readonly<Record<string, string>> = {}): Promise<string> {
  return (await Deno.readTextFile(TEMPLATES + name)).replaceAll(/@([A-Z]+)@/g, (_, key: string) => {
    const value = values[key];
    if (value === undefined) throw new Error(`cannot fill in tools/packages/${name}: nothing is known of @${key}@`);
    return value;
  });
}

/** Returns a scriptlet together with what all of them share. */
export async function scriptletOf(name: string, values: Readonly<Record<string, string>> = {}): Promise<string> {
  const shared = (await templateOf("scriptlets/shared.sh")).replace(/^#!.*\n(#.*\n)*/, "");
  return (await templateOf(`scriptlets/${name}`, values))
    .replace(/^# shellcheck source=.*\n\. \.\/shared\.sh\n/m, () => shared);
}

/** Returns a text as gzip(1) -9n would compress it: without a name and a time. */
export function zipped(text: string): Uint8Array {
  return gzipSync(new TextEncoder().encode(text), { level: 9, mtime: 0 });
}

/** Returns a version as both formats sort it: `1.0.0~rc.1` comes before `1.0.0`. */
export function sortable(version: string): string {
  return version.replaceAll("-", "~");
}

/** Runs a program. Throws Error with what it wrote if it fails. */
export async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { SOURCE_DATE_EPOCH: String(buildEpoch()), LC_ALL: "C.UTF-8", TZ: "UTC" },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (success) return text(stdout);
  throw new Error(`${program} ${args.join(" ")}: ${text(stderr).trim()}`);
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(PROJECT + folder));
  return entries.filter(({ isFile }) => isFile).map(({ name }) => name).toSorted();
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = (await Array.fromAsync(Deno.readDir(PROJECT + folder))).toSorted((a, b) => a.name < b.name ? -1 : 1);
  const found = entries.map(({ name, isFile }) => isFile ? [`${folder}/${name}`] : filesBelow(`${folder}/${name}`));
  return (await Promise.all(found)).flat();
}

function folderOf(path: string): string {
  return path.replace(/\/[^/]*$/, "");
}
