// Builds the release archive from dist/gilly: dist/gilly-VERSION-linux-x64.tar.gz and its .sha256.
// The build is reproducible: the same inputs always produce the same bytes.

import manifest from "../deno.json" with { type: "json" };
import { buildEpoch, PROJECT } from "./deno.ts";
import { noticesOf, partsOf, sbomOf } from "./parts.ts";
import { sha256Of } from "./pins.ts";

/** What install.sh and gilly-setup share. */
const SETUP_PARTS = [
  "all",
  "arguments",
  "common",
  "config",
  "credentials",
  "files",
  "proxy",
  "runtime",
  "service",
  "this_host",
].map((name) => `systemd/setup/${name}.sh`);

/** The files in the archive besides the binary, under the same names as in the repository. */
export const FILES = [
  "CHANGELOG.md",
  "LICENSE",
  "README.md",
  "systemd/gilly-credentials",
  "systemd/gilly-redirect",
  "systemd/gilly-setup",
  ...SETUP_PARTS,
  "install.sh",
  "docs/compatibility.md",
  "docs/configuration.md",
  "docs/containerd.md",
  "docs/credentials.md",
  "docs/gilly.8",
  "docs/gilly.bash",
  "docs/gilly.fish",
  "docs/gilly.zsh",
  "docs/monitoring.md",
  "docs/monitoring/alerts.yaml",
  "docs/monitoring/dashboard.json",
  "docs/operations.md",
  "docs/proxy.md",
  "docs/security.md",
  "docs/troubleshooting.md",
  "systemd/config.example.yaml",
  "systemd/gilly-proxy.service",
  "systemd/gilly-redirect.service",
  "systemd/gilly-renew.path",
  "systemd/gilly-renew.service",
  "systemd/gilly-this-host.service",
  "systemd/gilly.service",
];

/** Those that can be run in the archive's folder; install.sh makes the others executable. */
const PROGRAMS = new Set(["gilly", "install.sh", "systemd/gilly-credentials", "systemd/gilly-setup"]);

export interface ReleaseOptions {
  /** The path of the compiled program. */
  readonly binary: string;
  readonly version: string;
  /** Where the archive is written; must exist. */
  readonly directory: string;
}

/** Files generated from the binary's parts, next to FILES; see parts.ts. */
const SBOM = "sbom.cdx.json";
const NOTICES = "THIRD-PARTY-NOTICES";

/**
 * Builds the archive and its checksum file, in the format that `sha256sum -c` reads, and returns
 * the archive's path. Throws Error if `binary` is not a compiled binary, such as the script that
 * replaces it in tests.
 */
export async function makeRelease({ binary, version, directory }: ReleaseOptions): Promise<string> {
  if (!isBinary(binary)) {
    throw new Error(`cannot release ${binary}: it is not a compiled binary; run deno task compile`);
  }
  const name = `gilly-${version}-linux-x64`;
  const archive = `${directory}/${name}.tar.gz`;
  const staging = await Deno.makeTempDir({ prefix: "gilly-release-" });
  try {
    await stage(`${staging}/${name}`, binary);
    await run("tar", [
      ...["--sort=name", `--mtime=@${buildEpoch()}`, "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"],
      ...["-C", staging, "-cf", `${staging}/release.tar`, name],
    ]);
    // -n omits the name and the time that gzip would record.
    await run("gzip", ["-n", `${staging}/release.tar`]);
    await Deno.copyFile(`${staging}/release.tar.gz`, archive);
  } finally {
    await Deno.remove(staging, { recursive: true });
  }
  await Deno.writeTextFile(`${archive}.sha256`, `${await sha256Of(archive)}  ${name}.tar.gz\n`);
  return archive;
}

// Modes are set explicitly, so that the builder's umask does not affect the archive.
async function stage(folder: string, binary: string): Promise<void> {
  for (const directory of new Set(["x", ...FILES].map((file) => `${folder}/${file}`.replace(/\/[^/]*$/, "")))) {
    await Deno.mkdir(directory, { recursive: true });
    await Deno.chmod(directory, 0o755);
  }
  const parts = await partsOf();
  for (const [file, text] of [[SBOM, sbomOf(parts)], [NOTICES, noticesOf(parts)]] as const) {
    await Deno.writeTextFile(`${folder}/${file}`, text);
    await Deno.chmod(`${folder}/${file}`, 0o644);
  }
  const sources = new Map(FILES.map((file) => [file, PROJECT + file]));
  for (const [file, source] of [...sources, ["gilly", binary] as const]) {
    await Deno.copyFile(source, `${folder}/${file}`);
    await Deno.chmod(
      `${folder}/${file}`,
      PROGRAMS.has(file) ? 0o755 : 0o644,
    );
  }
}

/**
 * Returns whether a file is a Linux executable (elf(5)), and not the script that replaces it in
 * tests.
 */
export function isBinary(path: string): boolean {
  using file = Deno.openSync(path);
  const beginning = new Uint8Array(4);
  file.readSync(beginning);
  return new TextDecoder("latin1").decode(beginning) === "\x7fELF";
}

async function run(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, env: { GZIP: "" } }).output();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

if (import.meta.main) {
  const directory = `${PROJECT}dist`;
  console.log(await makeRelease({ binary: `${directory}/gilly`, version: manifest.version, directory }));
}
