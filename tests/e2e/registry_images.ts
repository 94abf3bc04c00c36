// Makes images without an Engine, and puts them into a registry over the HTTP API of distribution
// (docs/spec/api.md), as `docker push` does.

import { busyboxFiles, tarOf } from "./engine.ts";

const MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const CONFIG = "application/vnd.docker.container.image.v1+json";

/** A layer as a registry stores it. */
export interface Layer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly digest: string;
  /** Digest of the uncompressed layer. */
  readonly diffId: string;
}

/** Where images are put: `127.0.0.1:PORT`, the HTTP client for a registry with TLS, and who may put them there. */
export interface Registry {
  readonly host: string;
  readonly client?: Deno.HttpClient;
  readonly credentials?: { readonly username: string; readonly password: string };
}

/** Sleeps until SIGTERM, which a plain `sleep` as the first process would ignore. */
export const SLEEP = ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"];

/** A manifest or a configuration. */
interface Part {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly digest: string;
}

/** An image as a registry stores it. The digest of its configuration is its id in most stores. */
export interface Image {
  readonly layers: readonly Layer[];
  readonly configuration: Part;
  readonly manifest: Part;
}

/** A layer with Debian's static busybox, so that an image with it can run. */
export async function busyboxLayer(): Promise<Layer> {
  return layerOf(tarOf(await busyboxFiles()));
}

/** An image of one layer that differs with each `text`. When run, it sleeps unless `command` is given. */
export async function sleeperImage(text: string, command?: readonly string[]): Promise<Image> {
  return await imageOf([await layerOf(tarOf({ ...await busyboxFiles(), "made-for": text }))], command);
}

/** A layer of `size` random bytes, so that no two are the same. */
export function randomLayer(size: number): Promise<Layer> {
  const content = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(content.subarray(at, at + 65_536));
  return layerOf(tarOf({ "made-for-a-measurement": content }));
}

/** Makes an image of these layers. When run, it sleeps unless `command` is given. */
export async function imageOf(layers: readonly Layer[], command: readonly string[] = SLEEP): Promise<Image> {
  const configuration = await partOf({
    architecture: "amd64",
    os: "linux",
    created: "2020-05-16T01:00:00Z",
    config: { Cmd: command, Env: ["PATH=/bin"] },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(() => ({ created: "2020-05-16T01:00:00Z" })),
  });
  const manifest = await partOf({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: CONFIG, size: configuration.bytes.byteLength, digest: configuration.digest },
    layers: layers.map(({ bytes, digest }) => ({ mediaType: LAYER, size: bytes.byteLength, digest })),
  });
  return { layers, configuration, manifest };
}

/** Puts an image of these layers into a registry and returns its digest. When run, it sleeps. */
export async function putImage(
  registry: Registry,
  path: string,
  tag: string,
  layers: readonly Layer[],
): Promise<string> {
  return await pushTo(registry, path, tag, await imageOf(layers));
}

/** Puts an image into a registry and returns its digest. */
export async function pushTo(registry: Registry, path: string, tag: string, image: Image): Promise<string> {
  const { layers, configuration, manifest: { bytes, digest } } = image;
  for (const part of [...layers, configuration]) await putBlob(registry, path, part.bytes, part.digest);
  const headers = { "Content-Type": MANIFEST };
  await expecting(201, registry, `/v2/${path}/manifests/${tag}`, { method: "PUT", body: bytes, headers });
  return digest;
}

/** Returns a tar archive with the image under that name, which `ctr images import` takes (OCI image layout). */
export function layoutOf(name: string, { layers, configuration, manifest }: Image): Uint8Array<ArrayBuffer> {
  const { bytes: { byteLength: size }, digest } = manifest;
  const annotations = { "io.containerd.image.name": name };
  return tarOf({
    "oci-layout": JSON.stringify({ imageLayoutVersion: "1.0.0" }),
    "index.json": JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: MANIFEST, digest, size, annotations }] }),
    ...Object.fromEntries(
      [...layers, configuration, manifest].map(({ digest, bytes }) => [`blobs/${digest.replace(":", "/")}`, bytes]),
    ),
  });
}

async function partOf(content: unknown): Promise<Part> {
  const bytes = new TextEncoder().encode(JSON.stringify(content));
  return { bytes, digest: await digestOf(bytes) };
}

async function layerOf(tar: Uint8Array<ArrayBuffer>): Promise<Layer> {
  const packed = new Blob([tar]).stream().pipeThrough(new CompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(packed).arrayBuffer());
  return { bytes, digest: await digestOf(bytes), diffId: await digestOf(tar) };
}

async function putBlob(
  registry: Registry,
  path: string,
  body: Uint8Array<ArrayBuffer>,
  digest: string,
): Promise<void> {
  const begun = await expecting(202, registry, `/v2/${path}/blobs/uploads/`, { method: "POST" });
  const target = new URL(begun.headers.get("Location")!, `http://${registry.host}`);
  target.searchParams.set("digest", digest);
  const headers = { "Content-Type": "application/octet-stream" };
  await expecting(201, registry, target.pathname + target.search, { method: "PUT", body, headers });
}

async function expecting(
  status: number,
  { host, client, credentials }: Registry,
  path: string,
  init: RequestInit,
): Promise<Response> {
  const url = `${client === undefined ? "http" : "https"}://${host}${path}`;
  const headers = new Headers(init.headers);
  if (credentials) headers.set("Authorization", `Basic ${btoa(`${credentials.username}:${credentials.password}`)}`);
  const response = await fetch(url, { ...init, headers, ...(client && { client }) });
  const text = await response.text();
  if (response.status !== status) throw new Error(`${init.method} ${url}: ${response.status} ${text}`);
  return response;
}

async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `sha256:${hash.toHex()}`;
}
