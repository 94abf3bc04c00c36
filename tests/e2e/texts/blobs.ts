// The blobs of images, with their digests.

/** A manifest or a configuration. */
export interface Part {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly digest: string;
}

/** A layer, and the digest of its archive. */
export interface Layer extends Part {
  readonly diffId: string;
}

/** The digest of these bytes. */
export async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return `sha256:${new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex()}`;
}

/** JSON, or a text as it is. */
export async function partFrom(content: unknown): Promise<Part> {
  const bytes = new TextEncoder().encode(typeof content === "string" ? content : JSON.stringify(content));
  return { bytes, digest: await digestOf(bytes) };
}

/** The layer `bytes`, whose archive is said to be `tar`. */
export async function layerFrom(bytes: Uint8Array<ArrayBuffer>, tar: Uint8Array<ArrayBuffer>): Promise<Layer> {
  return { bytes, digest: await digestOf(bytes), diffId: await digestOf(tar) };
}

/** Compressed as most layers are. */
export async function gzipped(tar: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const packed = new Blob([tar]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}
