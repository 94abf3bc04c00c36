// Packages of the program under test, in a folder that hosts see.

import { makePackages } from "../../tools/packages.ts";
import type { Outcome } from "../support/outcome.ts";
import { GILLY } from "../support/requirements.ts";
import type { Host } from "./host.ts";

/** Where a host sees the folder. */
export const PACKAGES = "/opt/packages";

/** Versions as an archive of packages has them one after another. */
export const OLD = "0.1.0";
export const NEW = "0.1.1";

/** What a first installation says. */
export const ADVICE =
  "gilly: enabled, and starts once its config names a mirror: gilly-setup --mirror gcr.io=mirror.example";

/** The file names of a version's packages. */
export function debName(version: string): string {
  return `gilly_${version}_amd64.deb`;
}

export function rpmName(version: string): string {
  return `gilly-${version}-1.x86_64.rpm`;
}

/** The command with which apt installs a version on a host, without a network and without questions. */
export function aptInstall(version: string): string {
  const options = "--quiet=2 --yes --no-install-recommends --allow-downgrades --reinstall -o Dpkg::Use-Pty=0";
  return `DEBIAN_FRONTEND=noninteractive apt-get install ${options} ${PACKAGES}/${debName(version)} </dev/null`;
}

/** A booted host, or a tree that is not running. */
interface Target {
  readonly path: string;
  outside(program: string, ...args: readonly string[]): Promise<Outcome>;
}

/**
 * Runs this machine's rpm on a target with Debian, where nothing of what other distributions call
 * their packages is known. Its database is in the folder of the packages: SQLite would take the
 * path of a booted host's own for one of this machine.
 */
export function rpm(target: Target, directory: string, action: string, ...args: readonly string[]): Promise<Outcome> {
  const flags = ["--root", target.path, "--dbpath", `${directory}/rpmdb`, "--force-debian", "--nodeps"];
  return target.outside("rpm", ...flags, action, ...args);
}

/** Builds both versions into a folder. The new one's program is another file, and works the same. */
export async function buildPackages(directory: string): Promise<void> {
  const binary = await Deno.readFile(GILLY);
  for (const version of [OLD, NEW]) {
    // An unused byte of the ELF header.
    binary[15] = version === OLD ? 0 : 1;
    await Deno.writeFile(`${directory}/gilly`, binary, { mode: 0o755 });
    await makePackages({ binary: `${directory}/gilly`, version, architecture: "x64", directory, quick: true });
  }
  await Deno.remove(`${directory}/gilly`);
  await Deno.mkdir(`${directory}/rpmdb`);
}

/** Returns how often gilly.service was started while `use` ran. */
export async function startsDuring(host: Host, use: () => Promise<unknown>): Promise<number> {
  const last = await host.lastEntry();
  await use();
  await host.lastEntry();
  return host.journal.since(last).filter(({ message }) => /^Started gilly\.service/.test(message)).length;
}
