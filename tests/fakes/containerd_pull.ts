// One pull of the fake containerd: what it writes, and the texts with which containerd 1.6 reports a
// registry's failure.

import { layerDigest, recordName } from "./containerd_images.ts";
import { GrpcStatus, rawAnswer } from "./containerd_wire.ts";
import { type FakeImage, type FakeReference, parseFakeReference } from "./image_store.ts";
import { aborted, type HoldPoint } from "./pull_holds.ts";
import { consult, type FakeRegistry, type RegistryState, type SentCredentials } from "./registries.ts";

/** A content that is being written, as ListStatuses shows it. */
export interface Ingest {
  readonly ref: string;
  offset: bigint;
  readonly total: bigint;
}

/** One pull, and containerd's side of it. */
export interface ContainerdPullOptions {
  readonly reference: FakeReference;
  readonly registry: FakeRegistry | undefined;
  readonly sent: SentCredentials | undefined;
  readonly stepMs: number;
  /** Aborted when the client leaves or containerd stops. */
  readonly left: AbortSignal;
  /** What containerd is writing. */
  readonly ingests: Set<Ingest>;
  /** Waits while the pull is held at that point. */
  readonly pass: (point: HoldPoint) => Promise<void>;
  /** Reports whether a layer is already in the store. */
  readonly knows: (layer: string) => boolean;
}

/** Returns the parts of a reference. Throws GrpcStatus with the text of containerd. */
export function parsedForPull(text: string): FakeReference {
  const reference = parseFakeReference(text);
  if (reference !== undefined) return reference;
  const isUpper = parseFakeReference(text.toLowerCase()) !== undefined;
  const why = `invalid reference format${isUpper ? ": repository name must be lowercase" : ""}`;
  throw new GrpcStatus(2, `failed to parse image reference ${JSON.stringify(text)}: ${why}`);
}

/**
 * Downloads an image. Returns it, or an answer in place of containerd's for a registry that breaks it.
 * Throws GrpcStatus.
 */
export async function downloaded(options: ContainerdPullOptions): Promise<FakeImage | Response> {
  const { reference, registry, sent, left, pass } = options;
  await pass("headers");
  if (registry?.state === "silent") await aborted(left);
  const found = consult(registry, reference, sent);
  if (found.result !== "image") throw unresolved(reference, found.result);
  await pass("layers");
  for (const { id, bytes } of found.image.layers) {
    if (!options.knows(id)) await written(options, id, bytes);
  }
  await pass("end");
  if (stateOf(options) === "torn") return tornAnswer();
  if (stateOf(options) === "cut") return rawAnswer(new Uint8Array());
  if (stateOf(options) === "error-after-progress") throw tornBlob(options, found.image.layers.at(-1)?.id ?? "");
  return found.image;
}

/** Writes one layer as the registry's state says. */
async function written(options: ContainerdPullOptions, id: string, bytes: number): Promise<void> {
  const ingest = { ref: `layer-${layerDigest(id)}`, offset: 0n, total: BigInt(bytes) };
  options.ingests.add(ingest);
  try {
    for (const quarter of [1, 2, 3, 4]) {
      ingest.offset = BigInt(Math.round(bytes * quarter / 4));
      if (stateOf(options) === "slow") await paused(options);
      while (stateOf(options) === "stalled") await paused(options);
      options.left.throwIfAborted();
    }
  } finally {
    options.ingests.delete(ingest);
  }
}

function stateOf({ registry }: ContainerdPullOptions): RegistryState {
  return registry?.state ?? "down";
}

async function paused({ stepMs, left }: ContainerdPullOptions): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, stepMs);
  await Promise.race([promise, aborted(left)]).finally(() => clearTimeout(timer));
}

/** Returns an answer that breaks off within a message. */
function tornAnswer(): Response {
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new Uint8Array([0, 0, 0, 0, 73, 10])),
    async pull(controller) {
      // Without the pause the bytes so far would not be sent.
      await new Promise((resolve) => setTimeout(resolve, 20));
      controller.error(new Error("the connection breaks off on purpose"));
    },
  });
  return rawAnswer(stream);
}

function unresolved(
  reference: FakeReference,
  result: "unknown-host" | "down" | "unavailable" | "rate-limited" | "denied" | "not-found",
): GrpcStatus {
  const { host } = reference;
  const name = recordName(reference);
  const asked = reference.digest ?? reference.tag ?? "latest";
  const [server, scheme] = [host === "docker.io" ? "registry-1.docker.io" : host, schemeOf(host)];
  const failed = (why: string, status = 2) =>
    new GrpcStatus(status, `failed to pull and unpack image "${name}": failed to resolve reference "${name}": ${why}`);
  const unsent = `failed to do request: Head "${scheme}://${server}/v2/${reference.path}/manifests/${asked}"`;
  const refused = (answer: string) =>
    failed(`pulling from host ${server} failed with status code [manifests ${asked}]: ${answer}`);
  switch (result) {
    case "unknown-host":
      return failed(`${unsent}: dial tcp: lookup ${server} on 127.0.0.53:53: no such host`);
    case "down":
      return failed(`${unsent}: dial tcp ${addressOf(server)}: connect: connection refused`);
    case "unavailable":
      return refused("503 Service Unavailable");
    case "rate-limited":
      return refused("429 Too Many Requests");
    case "denied":
      return refused("401 Unauthorized");
    case "not-found":
      return failed(`${name}: not found`, 5);
  }
}

/** containerd takes a loopback registry without TLS. */
function schemeOf(host: string): "http" | "https" {
  return /^(?:127\.|localhost(?::|$))/.test(host) ? "http" : "https";
}

function addressOf(server: string): string {
  return /^127\.[\d.]+:\d+$/.test(server) ? server : "192.0.2.1:443";
}

function tornBlob({ reference }: ContainerdPullOptions, layer: string): GrpcStatus {
  const { host, path } = reference;
  const url = `${schemeOf(host)}://${host}/v2/${path}/blobs/${layerDigest(layer)}`;
  const why = `failed to copy: httpReadSeeker: failed open: failed to do request: Get "${url}": EOF`;
  return new GrpcStatus(2, `failed to pull and unpack image "${recordName(reference)}": ${why}`);
}
