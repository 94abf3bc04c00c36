// Builds dist/gilly: bundles main.ts, so that the binary contains only what main.ts imports, and
// compiles the bundle with the permissions below, also for other architectures than this machine's.
// The build is reproducible: the same sources always produce the same bytes.

import { PROXY_VARIABLES } from "../lib/commands/environment.ts";
import { PROTECTED_FOLDERS } from "../lib/support/protected_folders.ts";
import { type Architecture, ARCHITECTURES, HOST } from "./architectures.ts";
import { buildEpoch, deno, PROJECT } from "./deno.ts";
import { provideEsbuild } from "./esbuild.ts";
import { checkPin, PartMissingError } from "./pins.ts";
import { findRuntime, namedRuntime } from "./runtime.ts";

/** The folder of the bundle: main.js, and a file for each part that is loaded only when it is needed. */
export const BUNDLE = "dist/bundle";
const ENTRY = `${BUNDLE}/main.js`;
const BINARY = "dist/gilly";

/** All permissions of the program, whatever its config says. */
export const PERMISSIONS: readonly string[] = [
  "--no-prompt",
  "--allow-net",
  "--allow-read",
  "--allow-write",
  `--deny-write=${PROTECTED_FOLDERS}`,
  "--allow-sys=hostname",
  `--allow-env=NOTIFY_SOCKET,RUNTIME_DIRECTORY,JOURNAL_STREAM,SUDO_USER,${PROXY_VARIABLES}`,
];

/**
 * V8 without its JIT needs no memory that is both writable and executable, which the unit forbids.
 */
export const V8_FLAGS = "--v8-flags=--jitless,--optimize-for-size,--single-threaded";

/**
 * All flags that the program runs with. Without --no-code-cache, Deno would keep compiled code
 * under a fixed name in a world-writable folder, and run what it finds there, even as root.
 */
const RUN_FLAGS = ["--no-config", "--no-code-cache", "--unstable-net", ...PERMISSIONS, V8_FLAGS];

/** prom-client loads Node's modules with require(). */
const PREAMBLE = 'import{createRequire}from"node:module";const require=createRequire(import.meta.url);\n';

/** A compiled program. */
export interface Compiled {
  readonly architecture: Architecture;
  /** The absolute path of the program. */
  readonly binary: string;
}

/**
 * Compiles one bundle for each of these architectures: dist/gilly for this machine's,
 * dist/gilly-ARCHITECTURE for another. Throws PinError if a part is not the pinned one or cannot be
 * obtained, before anything is built.
 */
export async function compile(architectures: readonly Architecture[] = [HOST]): Promise<Compiled[]> {
  await checkPin("deno", Deno.execPath());
  const runtimes: string[] = [];
  for (const architecture of architectures) {
    runtimes.push(
      await findRuntime(architecture, { named: namedRuntime(architecture), folder: `${PROJECT}.deno` }),
    );
  }
  await provideEsbuild();
  await bundle();
  const compiled: Compiled[] = [];
  for (const [index, architecture] of architectures.entries()) {
    const output = architecture === HOST ? BINARY : `${BINARY}-${architecture}`;
    const { target } = ARCHITECTURES[architecture];
    // Deno refuses to replace what it has not compiled, such as the script that tests run.
    await Deno.remove(PROJECT + output).catch(() => {});
    await deno(["compile", "--quiet", ...RUN_FLAGS, "--target", target, "--output", output, ENTRY], {
      DENORT_BIN: runtimes[index]!,
    });
    compiled.push({ architecture, binary: PROJECT + output });
  }
  return compiled;
}

/**
 * Compiles dist/gilly or, for tests only, makes it a script that runs the same bundle with the same
 * permissions.
 */
async function compileForTests(): Promise<void> {
  try {
    await compile();
  } catch (error) {
    if (!(error instanceof PartMissingError)) throw error;
    console.log(`${error.message}. Tests run ${ENTRY} with deno run instead; those of the binary itself are skipped.`);
    await bundle();
    await writeStandIn(PROJECT + BINARY);
  }
}

/**
 * Writes a script that runs the bundle as the binary would; install.sh and the release recognize it
 * by its second line.
 */
export async function writeStandIn(path: string): Promise<void> {
  const command = [Deno.execPath(), "run", "--quiet", "--no-lock", ...RUN_FLAGS, PROJECT + ENTRY];
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  // The file is replaced, since the old one may be running.
  await Deno.remove(path).catch(() => {});
  await Deno.writeTextFile(path, `#!/bin/sh\n# Not the program: for tests.\nexec ${quoted} "$@"\n`, { mode: 0o755 });
}

async function bundle(): Promise<void> {
  const folder = PROJECT + BUNDLE;
  const remove = () => Deno.remove(folder, { recursive: true }).catch(() => {});
  await remove();
  await deno(["bundle", "--quiet", "--minify", "--code-splitting", "--outdir", BUNDLE, "main.ts"]);
  const files = new Map<string, string>();
  for await (const { name } of Deno.readDir(folder)) files.set(name, await Deno.readTextFile(`${folder}/${name}`));
  await remove();
  await Deno.mkdir(folder);
  for (const [name, code] of await withOwnNames(files)) {
    const path = `${folder}/${name}`;
    await Deno.writeTextFile(path, code.includes("typeof require") ? PREAMBLE + code : code);
    // Modification times end up in the binary.
    await Deno.utime(path, buildEpoch(), buildEpoch());
  }
}

/** esbuild's names of files other than main.js. */
const ESBUILDS_NAME = /([\w.]+)-[A-Z0-9]{8}\.js/g;

/**
 * Names the files of a bundle after their contents alone: esbuild's names depend on the folder of the
 * checkout as well.
 */
async function withOwnNames(files: ReadonlyMap<string, string>): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  for (const [name, code] of files) {
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(code.replaceAll(ESBUILDS_NAME, "$1")));
    names.set(name, name.replace(ESBUILDS_NAME, `$1-${new Uint8Array(hash).toHex().slice(0, 8)}.js`));
  }
  const renamed = (code: string) => code.replaceAll(ESBUILDS_NAME, (name) => names.get(name) ?? name);
  return new Map([...files].map(([name, code]) => [names.get(name)!, renamed(code)]));
}

if (import.meta.main) {
  try {
    await (Deno.args.includes("--for-tests") ? compileForTests() : compile());
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
