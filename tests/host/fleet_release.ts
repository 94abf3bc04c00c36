// The package of this release with its SHA256SUMS, as a fleet gets them.

import { makeDeb } from "../../tools/packages/deb.ts";
import { sha256Of } from "../../tools/pins.ts";
import { writeSums } from "../../tools/sums.ts";
import { GILLY } from "../support/requirements.ts";
import { VERSION } from "./stage.ts";

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
  const packages: string[] = [];
  for (const version of [VERSION, ...older]) {
    packages.push(await makeDeb({ binary: GILLY, version, architecture: "x64", directory: folder, quick: true }));
  }
  await writeSums(folder, packages);
  const name = packages[0]!.slice(folder.length + 1);
  const sum = await sha256Of(packages[0]!);
  return { folder, name, sum, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}
