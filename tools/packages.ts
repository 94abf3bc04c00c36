// Builds the packages from dist/gilly: gilly_VERSION_ARCHITECTURE.deb and gilly-VERSION-1.ARCHITECTURE.rpm.
// As with the archive, the same inputs always produce the same bytes.

import { makeDeb } from "./packages/deb.ts";
import { makeRpm } from "./packages/rpm.ts";
import { type PackageOptions } from "./packages/tree.ts";

/** What builds each kind of package, and Debian's package with that program. */
const BUILDERS = [
  { kind: ".deb", program: "dpkg-deb", from: "dpkg", make: makeDeb },
  { kind: ".rpm", program: "rpmbuild", from: "rpm", make: makeRpm },
] as const;

/**
 * Builds the packages that this machine has the programs for, and returns their paths. For each
 * other, writes a line with what is missing to `warn`. Throws Error if a build fails.
 */
export async function makePackages(options: PackageOptions, warn = console.error): Promise<string[]> {
  const made: string[] = [];
  for (const { kind, program, from, make } of BUILDERS) {
    if (await isHere(program)) made.push(await make(options));
    else warn(`no ${kind}: ${program} is missing; install your distribution's package, such as Debian's ${from}`);
  }
  return made;
}

async function isHere(program: string): Promise<boolean> {
  const args = ["-c", 'command -v "$1"', "sh", program];
  return (await new Deno.Command("sh", { args, stdout: "null", stderr: "null" }).output()).success;
}
