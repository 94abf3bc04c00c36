// What builds the program, each part by its SHA-256 in pins.json: Deno, the esbuild that `deno bundle` fetches, and the
// runtime that is put in front of the bundle. A part with another sum is refused.

import pins from "./pins.json" with { type: "json" };

/** A part that is pinned. */
export type Pinned = keyof typeof pins;

/** A part that is not the pinned one, or cannot be had; the message says which and what to do. */
export class PinError extends Error {
  override name = "PinError";
}

/** A part that cannot be had here at all, neither the pinned one nor another. */
export class PartMissingError extends PinError {
  override name = "PartMissingError";
}

/** The version to which a part is pinned. */
export function versionOf(part: Pinned): string {
  return pins[part].version;
}

/** The part's SHA-256 for a platform such as `x86_64-unknown-linux-gnu`, in hex. Throws PartMissingError where none is known. */
export function sumOf(part: Pinned, platform: string = Deno.build.target): string {
  const sums: Readonly<Record<string, string>> = pins[part].sha256;
  const sum = sums[platform];
  if (sum !== undefined) return sum;
  throw new PartMissingError(`cannot build for ${platform}: tools/pins.json has no sum of ${part} for it`);
}

/** Throws PinError unless the file is the pinned part for this platform. */
export async function checkPin(part: Pinned, file: string): Promise<void> {
  const wanted = sumOf(part);
  const found = await sha256Of(file);
  if (found === wanted) return;
  const name = `${part} ${versionOf(part)}`;
  throw new PinError(`cannot use ${file}: it is not the pinned ${name}; expected SHA-256 ${wanted}, got ${found}`);
}

/** The SHA-256 of a file, in hex. Throws PinError when it cannot be read. */
export async function sha256Of(file: string): Promise<string> {
  try {
    return (await sha256(await Deno.readFile(file))).toHex();
  } catch (error) {
    throw new PinError(`cannot read ${file}: ${error instanceof Error ? error.message : error}`);
  }
}

/** The SHA-256 of these bytes. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
