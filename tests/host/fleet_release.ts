// The package of this release with its SHA256SUMS, as a fleet gets them.

import manifest from "../../deno.json" with { type: "json" };
import { makeDeb } from "../../tools/packages/deb.ts";
import { sha256Of } from "../../tools/pins.ts";
import { GILLY } from "../support/requirements.ts";

export const VERSION = manifest.version;

/** A folder with both. */
export interface FleetRelease extends AsyncDisposable {
  readonly folder: string;
  /** The name of the package in it. */
  readonly name: string;
  readonly sum: string;
}

/** Builds the .deb of the binary under test, and others of older versions, with one list of sums. */
export async function fleetRelease(older: readonly string[] = []): Promise<FleetRelease> {
  const folder = await Deno.makeTempDir({ prefix: "gilly-release-" });
  const lines: string[] = [];
  for (const version of [VERSION, ...older]) {
    const path = await makeDeb({ binary: GILLY, version, architecture: "x64", directory: folder, quick: true });
    lines.push(`${await sha256Of(path)}  ${path.slice(folder.length + 1)}\n`);
  }
  await Deno.writeTextFile(`${folder}/SHA256SUMS`, lines.toReversed().join(""));
  const [sum, name] = lines[0]!.trimEnd().split("  ") as [string, string];
  return { folder, name, sum, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}
