// The files that both packages bring, where they are on a host, and their modes. install.sh puts the
// same files below its prefix.

import { gzipSync } from "fflate";
import type { Architecture } from "../architectures.ts";
import { buildEpoch, PROJECT } from "../deno.ts";
import { FILES } from "../files.ts";
import { SCRIPTS } from "../manuals.ts";
import { inventoryOf } from "../parts.ts";
import { run } from "../run.ts";

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

const PROGRAMS = Object.keys(SCRIPTS);
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
  for (const path of filesLike(/^systemd\/.*\.(?:service|path)$/)) {
    await tree.put(`/usr/lib/systemd/system/${nameOf(path)}`, below("/usr", await textOf(path)));
  }
  for (const path of filesLike(/^systemd\/setup\//)) await tree.copy(path, `/usr/share/gilly/setup/${nameOf(path)}`);
  for (const path of SHARED) await tree.copy(path, `/usr/share/gilly/${nameOf(path)}`);
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
  for (const path of ["README.md", ...filesLike(/^docs\/(?:.*\.md$|monitoring\/)|^contrib\//)]) {
    await tree.copy(path, `${DOCS}/${path}`);
  }
  for (const [name, text] of Object.entries(await inventoryOf(architecture))) await tree.put(`${DOCS}/${name}`, text);
}

/** Returns those of the files that go onto hosts. */
function filesLike(pattern: RegExp): string[] {
  return FILES.filter((path) => pattern.test(path));
}

function nameOf(path: string): string {
  return path.replace(/^.*\//, "");
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

/** Runs a program that makes a package: it works the same on every machine and on every day. */
export function build(program: string, args: readonly string[], cwd: string): Promise<string> {
  return run(program, args, { cwd, env: { SOURCE_DATE_EPOCH: String(buildEpoch()), LC_ALL: "C.UTF-8", TZ: "UTC" } });
}

function folderOf(path: string): string {
  return path.replace(/\/[^/]*$/, "");
}
