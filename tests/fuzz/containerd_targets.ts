// The fuzz targets of containerd: its frames, and each of its answers through the client.

import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { ContainerdRuntime } from "../../lib/runtime/containerd/client.ts";
import { framed, FrameError, FrameReader } from "../../lib/runtime/containerd/frames.ts";
import { Content } from "../../lib/runtime/containerd/messages/content_pb.ts";
import { ImageService, RuntimeService } from "../../lib/runtime/containerd/messages/cri_pb.ts";
import { Events } from "../../lib/runtime/containerd/messages/events_pb.ts";
import { Images } from "../../lib/runtime/containerd/messages/images_pb.ts";
import { Snapshots } from "../../lib/runtime/containerd/messages/snapshots_pb.ts";
import { RuntimeError } from "../../lib/runtime/errors.ts";
import { hostileText, mutatedBinary } from "./mutations.ts";
import type { Target } from "./targets.ts";

const HEX = "0123456789abcdef".repeat(4);
const ID = `sha256:${HEX}`;
const NAME = "mirror.example/acme/web:1";
const RECORD = {
  name: NAME,
  labels: { "io.cri-containerd.image": "managed" },
  target: { mediaType: "application/vnd.docker.distribution.manifest.v2+json", digest: ID, size: 425n },
};

/** What containerd 1.6 answers to each method. */
const ANSWERS: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
  Version: bytesOf(RuntimeService.method.version.output, {
    version: "0.1.0",
    runtimeName: "containerd",
    runtimeVersion: "1.6.20~ds1",
    runtimeApiVersion: "v1",
  }),
  Status: bytesOf(RuntimeService.method.status.output, {
    info: { config: JSON.stringify({ registry: { configPath: "/etc/containerd/certs.d" } }), golang: '"go1.19.8"' },
  }),
  ImageStatus: bytesOf(ImageService.method.imageStatus.output, {
    image: { id: ID, repoTags: [NAME, "docker.io/library/web:1"], repoDigests: [`mirror.example/acme/web@${ID}`] },
  }),
  PullImage: bytesOf(ImageService.method.pullImage.output, { imageRef: ID }),
  Get: bytesOf(Images.method.get.output, { image: RECORD }),
  Create: bytesOf(Images.method.create.output, { image: RECORD }),
  ListStatuses: bytesOf(Content.method.listStatuses.output, {
    statuses: [{ ref: `layer-${ID}`, offset: 7n, total: 1n << 40n }, {
      ref: `manifest-${ID}`,
      offset: 0n,
      total: 425n,
    }],
  }),
  List: bytesOf(Snapshots.method.list.output, { info: [{ name: `k8s.io/7/extract-1600000000-abcd ${ID}` }] }),
  Subscribe: bytesOf(Events.method.subscribe.output, { namespace: "k8s.io", topic: "/tasks/exit", event: {} }),
  Publish: new Uint8Array(),
};

/** Calls that read the answer of a method. */
const CALLS: Readonly<Record<string, (runtime: ContainerdRuntime, signal: AbortSignal) => Promise<unknown>>> = {
  Version: (runtime, signal) => runtime.info(signal),
  Status: (runtime, signal) => runtime.info(signal),
  ImageStatus: (runtime, signal) => runtime.inspect(NAME, signal),
  PullImage: (runtime, signal) => runtime.pull(NAME, { signal, auth: { username: "a", password: "wonderland" } }),
  ListStatuses: (runtime, signal) => runtime.pull(NAME, { signal, onProgress: () => {} }),
  List: (runtime, signal) => runtime.pull(NAME, { signal, onProgress: () => {} }),
  Get: (runtime, signal) => runtime.tag(NAME, { name: "gcr.io/acme/web", tag: "1" }, signal),
  Create: (runtime, signal) => runtime.tag(NAME, { name: "gcr.io/acme/web", tag: "1" }, signal),
  Subscribe: (runtime, signal) => runtime.events({ signal, onOpen: () => {}, onEvent: () => {} }),
  Publish: (runtime, signal) => runtime.events({ signal, onOpen: () => {}, onEvent: () => {} }),
};

/** An answer in the place of containerd's. */
interface OddAnswer {
  readonly method: string;
  readonly body: Uint8Array<ArrayBuffer>;
  /** Whether the body comes as a whole message, so that it is decoded, or as it is. */
  readonly isFramed: boolean;
  readonly chunk: number;
  readonly status: string | undefined;
  readonly text: string;
}

/** Reads damaged frames. */
export function containerdFrames(): Target {
  const seeds = Object.values(ANSWERS).map(framed);
  return {
    name: "frame reader",
    inputs: fc.record({ bytes: mutatedBinary(seeds), chunk: fc.integer({ min: 1, max: 70_000 }) }),
    run(input) {
      const { bytes, chunk } = input as { bytes: Uint8Array; chunk: number };
      const reader = new FrameReader(1_000_000);
      for (const part of partsOf(bytes, chunk)) reader.push(part);
      reader.end();
    },
    isOwnError: (error) => error instanceof FrameError,
  };
}

/** Gives the client a damaged answer to one method; the others are answered as containerd does. */
export function containerdAnswers(): Target {
  const code = fc.oneof(fc.integer({ min: 0, max: 120 }).map(String), hostileText().map(inHeader));
  return {
    name: "containerd client",
    inputs: fc.constantFrom(...Object.keys(ANSWERS)).chain((method) =>
      fc.record({
        method: fc.constant(method),
        body: mutatedBinary([ANSWERS[method] ?? new Uint8Array()]),
        isFramed: fc.boolean(),
        chunk: fc.integer({ min: 1, max: 70_000 }),
        status: fc.option(code, { nil: undefined, freq: 3 }),
        text: hostileText().map(inHeader),
      })
    ),
    run: (input) => answered(input as OddAnswer),
    isOwnError: (error) => error instanceof RuntimeError,
  };
}

/** Calls the client with an odd answer in the place of the network's. */
async function answered(odd: OddAnswer): Promise<void> {
  const network = globalThis.fetch;
  globalThis.fetch = (input) => {
    const method = String(input).replace(/.*\//, "");
    return Promise.resolve(method === odd.method ? responseOf(odd) : usual(method));
  };
  const runtime = new ContainerdRuntime({ socket: "/nowhere/containerd.sock", noProgressMs: 1000, callTimeoutMs: 500 });
  try {
    await CALLS[odd.method]?.(runtime, new AbortController().signal);
  } finally {
    runtime.close();
    globalThis.fetch = network;
  }
}

function usual(method: string): Response {
  return new Response(framed(ANSWERS[method] ?? new Uint8Array()), { headers: { "content-type": "application/grpc" } });
}

function responseOf({ body, isFramed, chunk, status, text }: OddAnswer): Response {
  const parts = partsOf(isFramed ? framed(body) : body, chunk).values();
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const { value, done } = parts.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
  const failure = status === undefined ? {} : { "grpc-status": status, "grpc-message": text };
  return new Response(stream, { headers: { "content-type": "application/grpc", ...failure } });
}

/** Leaves out what no header can have. */
function inHeader(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "");
}

function partsOf(bytes: Uint8Array, size: number): Uint8Array[] {
  // One-byte parts of a large input would measure this loop, not the reader.
  const least = Math.max(size, Math.ceil(bytes.byteLength / 5000));
  const count = Math.ceil(bytes.byteLength / least);
  return Array.from({ length: count }, (_, index) => bytes.subarray(index * least, (index + 1) * least));
}

function bytesOf<Output extends DescMessage>(
  output: Output,
  fields: MessageInitShape<Output>,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(toBinary(output, create(output, fields)));
}
