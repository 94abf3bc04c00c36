// Builds a release in dist/: for each architecture gilly-VERSION-linux-ARCH.tar.gz, a .deb and a
// .rpm, then SHA256SUMS over all of its files, and the signature of that. The build is
// reproducible: the same inputs always produce the same bytes.

import { parseArgs } from "@std/cli/parse-args";
import manifest from "../deno.json" with { type: "json" };
import { type Architecture, ARCHITECTURE_NAMES, architectureOf, HOST } from "./architectures.ts";
import { compile } from "./compile.ts";
import { buildEpoch, PROJECT } from "./deno.ts";
import { FILES } from "./files.ts";
import { makePackages } from "./packages.ts";
import { inventoryOf } from "./parts.ts";
import { PinError } from "./pins.ts";
import { run } from "./run.ts";
import { checkKey, removeSums, SIGNATURE, SigningError, signSums, writeSums } from "./sums.ts";

const USAGE = `usage: deno task release [--arch x64|arm64]... [--sign KEY]

  --arch ARCH   build for this architecture, instead of this machine's; may be repeated
  --sign KEY    sign SHA256SUMS with this SSH key (ssh-keygen -Y): the path of a private key, or of a
                public key whose private half is in ssh-agent; also by GILLY_SIGNING_KEY

If the runtime for one of the architectures cannot be had, nothing is built.`;

/** Those that can be run in the archive's folder; install.sh makes the others executable. */
const PROGRAMS = new Set(["gilly", "install.sh", "systemd/gilly-credentials", "systemd/gilly-setup"]);

export interface ReleaseOptions {
  /** The path of the compiled program. */
  readonly binary: string;
  readonly version: string;
  /** Where the archive is written; must exist. */
  readonly directory: string;
}

/**
 * Builds the archive for the architecture of `binary`, and returns its path. Throws Error if it is
 * not a compiled binary, such as the script that replaces it in tests.
 */
export async function makeRelease({ binary, version, directory }: ReleaseOptions): Promise<string> {
  const architecture = architectureOf(binary);
  if (architecture === undefined) {
    throw new Error(`cannot release ${binary}: it is not a compiled binary; run deno task compile`);
  }
  const name = `gilly-${version}-linux-${architecture}`;
  const archive = `${directory}/${name}.tar.gz`;
  const staging = await Deno.makeTempDir({ prefix: "gilly-release-" });
  try {
    await stage(`${staging}/${name}`, binary, architecture);
    await run("tar", [
      ...["--sort=name", `--mtime=@${buildEpoch()}`, "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"],
      ...["-C", staging, "-cf", `${staging}/release.tar`, name],
    ]);
    // -n omits the name and the time that gzip would record.
    await run("gzip", ["-n", `${staging}/release.tar`], { env: { GZIP: "" } });
    await Deno.copyFile(`${staging}/release.tar.gz`, archive);
  } finally {
    await Deno.remove(staging, { recursive: true });
  }
  return archive;
}

// Modes are set explicitly, so that the builder's umask does not affect the archive.
async function stage(folder: string, binary: string, architecture: Architecture): Promise<void> {
  for (const directory of new Set(["x", ...FILES].map((file) => `${folder}/${file}`.replace(/\/[^/]*$/, "")))) {
    await Deno.mkdir(directory, { recursive: true });
    await Deno.chmod(directory, 0o755);
  }
  for (const [file, text] of Object.entries(await inventoryOf(architecture))) {
    await Deno.writeTextFile(`${folder}/${file}`, text);
    await Deno.chmod(`${folder}/${file}`, 0o644);
  }
  const sources = new Map(FILES.map((file) => [file, PROJECT + file]));
  for (const [file, source] of [...sources, ["gilly", binary] as const]) {
    await Deno.copyFile(source, `${folder}/${file}`);
    await Deno.chmod(`${folder}/${file}`, PROGRAMS.has(file) ? 0o755 : 0o644);
  }
}

/** What the command line asks for. */
interface Request {
  readonly architectures: readonly Architecture[];
  /** The path of the SSH key. */
  readonly key: string | undefined;
}

class UsageError extends Error {}

/** Reads the command line. Throws UsageError. */
function readArguments(args: readonly string[]): Request {
  const { arch, sign, _: operands } = parseArgs(args, {
    string: ["arch", "sign"],
    collect: ["arch"],
    unknown(argument) {
      if (argument.startsWith("-")) throw new UsageError(`unknown argument ${JSON.stringify(argument)}`);
    },
  }) as { arch: string[]; sign?: string; _: unknown[] };
  // An unset variable in a script must not make a release that is not signed.
  if (sign === "") throw new UsageError("--sign needs the path of a key");
  if (operands.length > 0) throw new UsageError(`unknown argument ${JSON.stringify(operands[0])}`);
  for (const name of arch) {
    if (!ARCHITECTURE_NAMES.includes(name as Architecture)) {
      throw new UsageError(
        `unknown architecture ${JSON.stringify(name)}; expected ${ARCHITECTURE_NAMES.join(" or ")}`,
      );
    }
  }
  const architectures = arch.length > 0 ? new Set(arch as Architecture[]) : [HOST];
  return { architectures: [...architectures], key: sign ?? (Deno.env.get("GILLY_SIGNING_KEY") || undefined) };
}

/** Builds everything into dist/, and prints the path of each file. */
async function release({ architectures, key }: Request): Promise<void> {
  if (key !== undefined) await checkKey(key);
  const directory = `${PROJECT}dist`;
  const { version } = manifest;
  const artifacts: string[] = [];
  // For tests, which cannot wait a minute for each package to be small.
  const quick = Deno.env.has("GILLY_QUICK_PACKAGES");
  const compiled = await compile(architectures);
  await removeSums(directory);
  for (const { architecture, binary } of compiled) {
    if (architectureOf(binary) !== architecture) {
      throw new PinError(`cannot release ${binary}: the runtime that tools/pins.json names is not for ${architecture}`);
    }
    artifacts.push(await makeRelease({ binary, version, directory }));
    artifacts.push(...await makePackages({ binary, version, architecture, directory, quick }));
  }
  console.log([...artifacts, await writeSums(directory, artifacts)].join("\n"));
  if (key === undefined) {
    console.log("this release is not signed: no --sign KEY and no GILLY_SIGNING_KEY");
  } else {
    const signature = await signSums(directory, key);
    console.log(`${directory}/${SIGNATURE}\n${signature}`);
  }
}

if (import.meta.main) {
  try {
    await release(readArguments(Deno.args));
  } catch (error) {
    if (error instanceof UsageError) console.error(`${error.message}\n\n${USAGE}`);
    else if (error instanceof PinError || error instanceof SigningError) console.error(error.message);
    else throw error;
    Deno.exit(1);
  }
}
