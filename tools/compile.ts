// Makes dist/gilly: bundles main.ts, so that the binary holds what main.ts reaches and no package besides, and compiles the
// bundle with the permissions below. The same sources make the same bytes, wherever and whenever it runs.

import { PROXY_VARIABLES } from "../lib/commands/environment.ts";
import { PROTECTED_FOLDERS } from "../lib/support/files.ts";
import { buildEpoch, deno, PROJECT } from "./deno.ts";
import { provideEsbuild } from "./esbuild.ts";
import { checkPin, PartMissingError } from "./pins.ts";
import { findRuntime } from "./runtime.ts";

const BUNDLE = "dist/gilly.js";
const BINARY = "dist/gilly";

/** What the program may do; nothing else, whatever its config says. */
export const PERMISSIONS: readonly string[] = [
  "--no-prompt",
  "--allow-net",
  "--allow-read",
  "--allow-write",
  `--deny-write=${PROTECTED_FOLDERS}`,
  "--allow-sys=hostname",
  `--allow-env=NOTIFY_SOCKET,RUNTIME_DIRECTORY,JOURNAL_STREAM,SUDO_USER,${PROXY_VARIABLES}`,
];

/** V8 without its JIT needs no page that is both written and executed, which the unit forbids. */
export const V8_FLAGS = "--v8-flags=--jitless,--optimize-for-size,--single-threaded";

/**
 * How the program is run besides. Without --no-code-cache it would keep compiled code under a fixed name in a folder where
 * everybody may write, and run what it finds there, as root too.
 */
const RUN_FLAGS = ["--no-config", "--no-code-cache", "--unstable-net", ...PERMISSIONS, V8_FLAGS];

/** prom-client asks for Node's modules that way. */
const PREAMBLE = 'import{createRequire}from"node:module";const require=createRequire(import.meta.url);\n';

/** Compiles dist/gilly. Throws PinError when a part is not the pinned one, or cannot be had. */
async function compile(): Promise<void> {
  await checkPin("deno", Deno.execPath());
  const runtime = await findRuntime(Deno.env.get("DENORT_BIN") || undefined, `${PROJECT}.deno`);
  await provideEsbuild();
  await bundle();
  await deno(["compile", "--quiet", ...RUN_FLAGS, "--output", BINARY, BUNDLE], { DENORT_BIN: runtime });
}

/** Compiles dist/gilly, or makes it a script that runs the same bundle with the same permissions: for tests alone. */
async function compileForTests(): Promise<void> {
  try {
    await compile();
  } catch (error) {
    if (!(error instanceof PartMissingError)) throw error;
    console.log(`${error.message}. Tests run ${BUNDLE} with deno run instead; those of the binary itself are skipped.`);
    await bundle();
    await writeStandIn(PROJECT + BINARY);
  }
}

/** Writes a script that runs the bundle as the binary would; install.sh and the release know it by its second line. */
export async function writeStandIn(path: string): Promise<void> {
  const command = [Deno.execPath(), "run", "--quiet", "--no-lock", ...RUN_FLAGS, PROJECT + BUNDLE];
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  // A new file, since an old one may be running.
  await Deno.remove(path).catch(() => {});
  await Deno.writeTextFile(path, `#!/bin/sh\n# Not the program: for tests.\nexec ${quoted} "$@"\n`, { mode: 0o755 });
}

async function bundle(): Promise<void> {
  await Deno.mkdir(`${PROJECT}dist`, { recursive: true });
  const code = await deno(["bundle", "--quiet", "--minify", "main.ts"]);
  await Deno.writeTextFile(PROJECT + BUNDLE, PREAMBLE + code);
  // The binary keeps the bundle's time.
  await Deno.utime(PROJECT + BUNDLE, buildEpoch(), buildEpoch());
}

if (import.meta.main) {
  try {
    await (Deno.args.includes("--for-tests") ? compileForTests() : compile());
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
