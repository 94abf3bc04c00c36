// The parts that build the program, pinned by SHA-256 in pins.json: Deno, the esbuild that `deno
// bundle` fetches, and the runtime that is prepended to the bundle. A part with another sum is
// refused.

import pins from "./pins.json" with { type: "json" };

/** A pinned part. */
export type Pinned = keyof typeof pins;

/**
 * Thrown when a part is not the pinned one or cannot be obtained; the message says which, and what
 * to do.
 */
export class PinError extends Error {
  override name = "PinError";
}

/** Thrown when a part cannot be obtained at all, neither the pinned one nor another. */
export class PartMissingError extends PinError {
  override name = "PartMissingError";
}

/** Returns the version that a part is pinned to. */
export function versionOf(part: Pinned): string {
  return pins[part].version;
}

/** Returns whether a part's SHA-256 is known for a platform. */
export function isPinned(part: Pinned, platform: string): boolean {
  return platform in pins[part].sha256;
}

/**
 * Returns the part's SHA-256 for a platform such as `x86_64-unknown-linux-gnu`, in hex. Throws
 * PartMissingError if none is known.
 */
export function sumOf(part: Pinned, platform: string = Deno.build.target): string {
  const sums: Readonly<Record<string, string>> = pins[part].sha256;
  const sum = sums[platform];
  if (sum !== undefined) return sum;
  throw new PartMissingError(`cannot build for ${platform}: tools/pins.json has no sum of ${part} for it`);
}

/** Throws PinError unless the file is the pinned part for a platform, normally this one. */
export async function checkPin(part: Pinned, file: string, platform?: string): Promise<void> {
  const wanted = sumOf(part, platform);
  const found = await sha256Of(file);
  if (found === wanted) return;
  const name = `${part} ${versionOf(part)}`;
  throw new PinError(`cannot use ${file}: it is not the pinned ${name}; expected SHA-256 ${wanted}, got ${found}`);
}

/** Returns the SHA-256 of a file, in hex. Throws PinError if it cannot be read. */
export async function sha256Of(file: string): Promise<string> {
  try {
    return (await sha256(await Deno.readFile(file))).toHex();
  } catch (error) {
    throw new PinError(`cannot read ${file}: ${error instanceof Error ? error.message : error}`);
  }
}

/** Returns the SHA-256 of these bytes. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
