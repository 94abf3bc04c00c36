// Images for a mirror of one image, whole or with a fault that only a runtime notices.

import { concat } from "../../fakes/der.ts";
import { type ImageFile, tarOf } from "../engine.ts";
import { gzipped, type Layer, layerFrom, type Part, partFrom } from "./blobs.ts";

/** The media types of Docker's images and of OCI's. */
export const TYPES = {
  manifest: "application/vnd.docker.distribution.manifest.v2+json",
  index: "application/vnd.docker.distribution.manifest.list.v2+json",
  schema1: "application/vnd.docker.distribution.manifest.v1+prettyjws",
  config: "application/vnd.docker.container.image.v1+json",
  layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociZstdLayer: "application/vnd.oci.image.layer.v1.tar+zstd",
} as const;

/** What a mirror of one image has: the manifest under the tag, and blobs by their digests. */
export interface Stock {
  readonly manifest: Part & { readonly mediaType: string };
  readonly configDigest: string;
  readonly blobs: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

interface Parts {
  readonly layers: readonly (Layer & { readonly mediaType?: string })[];
  readonly config?: unknown;
  readonly configType?: string;
  readonly mediaType?: string;
  readonly extra?: Record<string, unknown>;
}

/** An image of these layers; `config` replaces its configuration, `extra` adds to its manifest. */
export async function stockOf(
  { layers, config, configType, mediaType = TYPES.manifest, extra }: Parts,
): Promise<Stock> {
  const isOci = mediaType === TYPES.ociManifest;
  const configuration = await partFrom(
    config ?? {
      architecture: "amd64",
      os: "linux",
      config: { Cmd: ["/none"] },
      rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    },
  );
  const manifest = await partFrom({
    schemaVersion: 2,
    mediaType,
    config: {
      mediaType: configType ?? (isOci ? TYPES.ociConfig : TYPES.config),
      size: configuration.bytes.byteLength,
      digest: configuration.digest,
    },
    layers: layers.map((layer) => ({
      mediaType: layer.mediaType ?? (isOci ? TYPES.ociLayer : TYPES.layer),
      size: layer.bytes.byteLength,
      digest: layer.digest,
    })),
    ...extra,
  });
  return {
    manifest: { ...manifest, mediaType },
    configDigest: configuration.digest,
    blobs: new Map([...layers, configuration].map(({ digest, bytes }) => [digest, bytes])),
  };
}

/** A whole image, which differs with each `text`; one byte of padding is one byte of its layer. */
export async function wholeImage(text: string, padding = 100): Promise<Stock> {
  return await stockOf({
    layers: [await layerFrom(await gzipped(contentOf(text, padding)), contentOf(text, padding))],
  });
}

/** Layers of these files. */
export async function layersOf(folders: readonly Record<string, ImageFile>[]): Promise<Layer[]> {
  return await Promise.all(folders.map(async (files) => layerFrom(await gzipped(tarOf(files)), tarOf(files))));
}

function contentOf(text: string, padding = 100): Uint8Array<ArrayBuffer> {
  // Random in effect, so that it cannot be compressed, and the same each time.
  const bytes = new Uint8Array(padding);
  let state = 12345;
  for (let at = 0; at < padding; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[at] = state >>> 24;
  }
  return tarOf({ "made-for": text, padding: bytes });
}

/** Its layer's archive ends in the middle of a file; the digests are right. */
export async function truncatedTar(text: string): Promise<Stock> {
  const tar = contentOf(text, 10_000).slice(0, 5000);
  return await stockOf({ layers: [await layerFrom(await gzipped(tar), tar)] });
}

/** Its layer ends in the middle of the compressed data; the digests are right. */
export async function truncatedGzip(text: string): Promise<Stock> {
  const tar = contentOf(text, 10_000);
  const packed = await gzipped(tar);
  return await stockOf({ layers: [await layerFrom(packed.slice(0, packed.byteLength / 2), tar)] });
}

/** Its layer is text. */
export async function noArchive(text: string): Promise<Stock> {
  const bytes = new TextEncoder().encode(`This is not an archive, but ${text}. `.repeat(100));
  return await stockOf({ layers: [await layerFrom(bytes, bytes)] });
}

/** Its layer is a right archive, but the configuration states another digest of its content. */
export async function otherDiffId(text: string): Promise<Stock> {
  return await stockOf({ layers: [await layerFrom(await gzipped(contentOf(text)), contentOf(`other ${text}`))] });
}

/** Its layer has these paths. */
export async function withPaths(files: Record<string, string>): Promise<Stock> {
  const tar = tarOf(files);
  return await stockOf({ layers: [await layerFrom(await gzipped(tar), tar)] });
}

/** An OCI image whose layer is compressed by Zstandard. */
export async function zstdImage(text: string): Promise<Stock> {
  const tar = contentOf(text);
  const layer = { ...await layerFrom(zstdOf(tar), tar), mediaType: TYPES.ociZstdLayer };
  return await stockOf({ layers: [layer], mediaType: TYPES.ociManifest });
}

/** A Docker image whose layer is compressed by Zstandard, under the media type of gzip. */
export async function zstdCalledGzip(text: string): Promise<Stock> {
  const tar = contentOf(text);
  return await stockOf({ layers: [await layerFrom(zstdOf(tar), tar)] });
}

/** One raw block in a frame (RFC 8878). */
function zstdOf(content: Uint8Array): Uint8Array<ArrayBuffer> {
  const size = content.byteLength;
  const littleEndian = (value: number, width: number) =>
    Uint8Array.from({ length: width }, (_, at) => (value >> (8 * at)) & 0xff);
  const header = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xa0);
  return Uint8Array.from(concat(header, littleEndian(size, 4), littleEndian((size << 3) | 1, 3), content));
}

/** An index of images for these platforms only. */
export async function indexFor(platforms: readonly Record<string, string>[]): Promise<Stock> {
  const { manifest, ...rest } = await wholeImage(JSON.stringify(platforms));
  const { bytes, digest } = manifest;
  const descriptor = { mediaType: TYPES.manifest, digest, size: bytes.byteLength };
  const index = await partFrom({
    schemaVersion: 2,
    mediaType: TYPES.index,
    manifests: platforms.map((platform) => ({ ...descriptor, platform })),
  });
  return { ...rest, manifest: { ...index, mediaType: TYPES.index } };
}

/** An artifact whose configuration and layer have these media types. */
export async function artifact(
  configType: string,
  layerType: string,
  extra: Record<string, unknown> = {},
  config: unknown = {},
): Promise<Stock> {
  const bytes = new TextEncoder().encode(`content of ${configType} ${layerType}`);
  const layers = [{ ...await layerFrom(bytes, bytes), mediaType: layerType }];
  return await stockOf({ layers, config, configType, mediaType: TYPES.ociManifest, extra });
}

/** A signed manifest of schema 1; its signature is not valid. */
export async function schema1(text: string): Promise<Stock> {
  const { blobs, configDigest, manifest } = await wholeImage(text);
  const blobSum = [...blobs.keys()].find((digest) => digest !== configDigest);
  const v1Compatibility = JSON.stringify({ id: "1".repeat(64), os: "linux", architecture: "amd64" });
  const part = await partFrom({
    schemaVersion: 1,
    name: "team/app",
    tag: "1",
    architecture: "amd64",
    fsLayers: [{ blobSum }],
    history: [{ v1Compatibility }],
  });
  return { blobs, configDigest, manifest: { ...manifest, ...part, mediaType: TYPES.schema1 } };
}

/** What answers with this JSON in place of a manifest, under this media type. */
export async function manifestOf(content: unknown, mediaType: string): Promise<Stock> {
  return {
    ...await wholeImage(`no manifest, but ${JSON.stringify(content)}`),
    manifest: { ...await partFrom(content), mediaType },
  };
}
