// A strict fake of a containerd with its CRI plugin on a Unix socket, with registries that it pulls
// from. It records calls in a journal and answers status 12 to a method that it does not have.
// Messages and statuses are those of containerd 1.6.20; containerd_test.ts compares them.

import { create, type DescMethod } from "@bufbuild/protobuf";
import { Content, type ListStatusesRequest } from "../../lib/runtime/containerd/messages/content_pb.ts";
import {
  ImageService,
  type ImageStatusRequest,
  type PullImageRequest,
  RuntimeService,
  type StatusRequest,
} from "../../lib/runtime/containerd/messages/cri_pb.ts";
import {
  EnvelopeSchema,
  Events,
  type PublishRequest,
  type SubscribeRequest,
} from "../../lib/runtime/containerd/messages/events_pb.ts";
import {
  type CreateImageRequest,
  type GetImageRequest,
  Images,
} from "../../lib/runtime/containerd/messages/images_pb.ts";
import { type ListSnapshotsRequest, Snapshots } from "../../lib/runtime/containerd/messages/snapshots_pb.ts";
import { CallGates, type Gate } from "./call_gates.ts";
import { CallWaiters } from "./call_waiters.ts";
import {
  createAnswer,
  getAnswer,
  listAnswer,
  runtimeStatusAnswer,
  snapshotsAnswer,
  statusAnswer,
  statusesAnswer,
  versionAnswer,
} from "./containerd_answers.ts";
import { type ContainerdCall, imageIn, received } from "./containerd_call.ts";
import { ContainerdEvents, topicRefusal } from "./containerd_events.ts";
import { ContainerdImages, recordName } from "./containerd_images.ts";
import { downloaded, type Ingest, parsedForPull } from "./containerd_pull.ts";
import { answer, failure, GrpcStatus, KUBELETS_NAMESPACE } from "./containerd_wire.ts";
import { type FakeImage, type FakeReference, parseFakeReference } from "./image_store.ts";
import { type HoldPoint, PullHolds } from "./pull_holds.ts";
import type { FakeRegistry } from "./registries.ts";
import { SocketServer } from "./socket_server.ts";
export type { ContainerdCall } from "./containerd_call.ts";
export { failure, frame, rawAnswer } from "./containerd_wire.ts";
export { type FakeImage, fakeImage } from "./image_store.ts";
export type { FakeRegistry, RegistryState } from "./registries.ts";

/** Options of the fake; the defaults are those of Debian's containerd 1.6. */
export interface FakeContainerdOptions {
  readonly socket: string;
  readonly registries?: Record<string, FakeRegistry>;
  readonly version?: string;
  /** Where it reads mirrors, as its status shows it; empty, as by default, if nowhere. */
  readonly configPath?: string;
  /** Milliseconds between two steps of a slow registry; 20 by default. */
  readonly stepMs?: number;
  /** Number of calls that the journal keeps, the newest ones; 10000 by default. */
  readonly journalLimit?: number;
}

/** Answers a call in place of containerd, for faults; undefined leaves it alone. */
export type ContainerdIntercept = (call: ContainerdCall) => Response | undefined | Promise<Response | undefined>;

/** Starts a fake containerd that listens on `socket`. */
export async function startFakeContainerd(options: FakeContainerdOptions): Promise<FakeContainerd> {
  const containerd = new FakeContainerd(options);
  await containerd.start();
  return containerd;
}

/** A call that is being answered. */
interface Answering {
  readonly call: ContainerdCall;
  /** Aborted when the client leaves or containerd stops. */
  readonly left: AbortSignal;
  readonly end: (how: "complete" | "aborted") => void;
}

/** The fake containerd; made by startFakeContainerd. */
export class FakeContainerd {
  readonly socket: string;
  /** host -> registry. The name of any other host does not resolve. Mutable while running. */
  readonly registries: Record<string, FakeRegistry>;
  /** The calls, in order of arrival. */
  readonly journal: ContainerdCall[] = [];
  /** Calls that a containerd would not expect, with the reason; normally empty at the end of a test. */
  readonly unexpected: string[] = [];
  /** Number of calls since the start, including those no longer in the journal. */
  calls = 0;
  /** The event streams of the clients; tests may send events too. */
  readonly events = new ContainerdEvents();
  /** The highest number of pulls that ran at once. */
  mostPulling = 0;
  intercept: ContainerdIntercept | undefined;
  /** The configuration that CRI shows, as far as anyone reads it. */
  config = { containerd: { snapshotter: "overlayfs" }, registry: { configPath: "" } };
  /** The snapshots into which layers are being unpacked: `extract-NUMBER sha256:…`. */
  readonly unpacking = new Set<string>();
  /** Hold any call; `hold` also holds pulls at points of their own. */
  readonly gates = new CallGates<ContainerdCall>();

  readonly #options: FakeContainerdOptions;
  readonly #images = new ContainerdImages((change, name) => this.events.tell(`/images/${change}`, name));
  readonly #ingests = new Set<Ingest>();
  readonly #pulling = new Set<ContainerdCall>();
  readonly #holds = new PullHolds();
  readonly #waiters = new CallWaiters<ContainerdCall>(this.journal);
  readonly #server: SocketServer;

  constructor(options: FakeContainerdOptions) {
    this.#options = options;
    this.socket = options.socket;
    this.#server = new SocketServer(
      options.socket,
      (request, stopped) => this.#serve(request, stopped),
      () => failure(1, "context canceled"),
    );
    this.registries = options.registries ?? {};
    this.config.registry.configPath = options.configPath ?? "";
  }

  /** Starts containerd, also after `stop`, on the same socket with the same images. */
  async start(): Promise<void> {
    if (this.#server.isRunning) throw new Error("the fake containerd is already running");
    await this.#server.start();
  }

  /** Stops containerd as a crash would: it cuts off every open call. The images stay for the next start. */
  async stop(): Promise<void> {
    await this.#server.stop();
  }

  /** Reports whether CRI finds the reference. */
  has(reference: string): boolean {
    return this.#images.status(reference) !== undefined;
  }

  /** Returns the id of the image that CRI finds by a reference, or undefined. */
  idOf(reference: string): string | undefined {
    return this.#images.status(reference)?.id;
  }

  /** The names of all records, sorted. */
  get names(): string[] {
    return this.#images.list().map(({ name }) => name);
  }

  /** Adds an image under a name, without a registry, as `ctr images import` does. */
  import(reference: string, image: FakeImage): void {
    const target = this.#images.keep(image);
    for (const name of [recordName(parsed(reference)), image.id]) this.#images.put(name, target);
  }

  /** Removes a name, as `ctr images rm` does. */
  remove(reference: string): void {
    this.#images.remove(recordName(parsed(reference)));
  }

  /** Removes an image with all of its names, as the kubelet's garbage collection does. */
  removeImage(reference: string): void {
    const id = this.idOf(reference);
    if (id !== undefined) this.#images.removeAll(id);
  }

  /** Holds the pulls of `reference`, or of every image without one, at a point until released. */
  hold(at: HoldPoint, reference?: string): Gate {
    return this.#holds.hold(at, reference);
  }

  /** Resolves with the first call in the journal, past or future, that the predicate accepts. */
  waitFor(predicate: (call: ContainerdCall) => boolean): Promise<ContainerdCall> {
    return this.#waiters.waitFor(predicate);
  }

  /** Number of pulls that are running. */
  get pulling(): number {
    return this.#pulling.size;
  }

  /** Returns the requested references of the pulls in the journal. */
  pulls(): string[] {
    return this.journal.filter(({ method }) => method === "PullImage").map(imageIn);
  }

  async #serve(request: Request, stopped: AbortSignal): Promise<Response> {
    const { call, method, message, refusal } = await received(request);
    const answering = this.#recorded(call, AbortSignal.any([request.signal, stopped]));
    const { left, end } = answering;
    await this.gates.pass("before", call, left);
    const response = await this.intercept?.(call) ?? await this.#answered(answering, method, message, refusal);
    await this.gates.pass("after", call, left);
    call.status = Number(response.headers.get("grpc-status") ?? 0);
    if (method?.methodKind !== "server_streaming" || call.status !== 0) end("complete");
    return response;
  }

  #recorded(call: ContainerdCall, left: AbortSignal): Answering {
    this.calls++;
    this.journal.push(call);
    if (this.journal.length > (this.#options.journalLimit ?? 10_000)) this.journal.shift();
    const end = (how: "complete" | "aborted") => {
      call.ended ??= how;
      this.#pulling.delete(call);
      this.#waiters.tell();
    };
    left.addEventListener("abort", () => end("aborted"), { once: true });
    if (left.aborted) end("aborted");
    this.#waiters.tell();
    return { call, left, end };
  }

  async #answered(
    answering: Answering,
    method: DescMethod | undefined,
    message: unknown,
    refusal: GrpcStatus | undefined,
  ): Promise<Response> {
    const { call } = answering;
    const isGrpc = call.headers["content-type"]?.startsWith("application/grpc");
    if (refusal !== undefined || method === undefined || !isGrpc) {
      this.unexpected.push(`${call.path}: ${refusal?.message ?? "not gRPC"}`);
      return failure(refusal?.status ?? 13, refusal?.message ?? "not gRPC");
    }
    try {
      return await this.#route(answering, method, message);
    } catch (error) {
      if (error instanceof GrpcStatus) return failure(error.status, error.message);
      throw error;
    }
  }

  #route(answering: Answering, method: DescMethod, message: unknown): Response | Promise<Response> {
    const { call } = answering;
    switch (method) {
      case RuntimeService.method.version:
        return versionAnswer(this.#options.version ?? "1.6.20~ds1");
      case RuntimeService.method.status:
        return runtimeStatusAnswer(message as StatusRequest, this.config);
      case ImageService.method.imageStatus:
        return statusAnswer(this.#images, message as ImageStatusRequest);
      case ImageService.method.pullImage:
        return this.#pull(message as PullImageRequest, answering);
      case Images.method.create:
        return createAnswer(this.#images, message as CreateImageRequest, () => this.#requireNamespace(call));
      case Events.method.publish:
        return this.#publish(message as PublishRequest, call);
      case Events.method.subscribe: {
        const { filters } = message as SubscribeRequest;
        return this.events.subscribe(filters, answering.left, () => answering.end("aborted"));
      }
    }
    this.#requireNamespace(call);
    switch (method) {
      case Images.method.get:
        return getAnswer(this.#images, message as GetImageRequest);
      case Images.method.list:
        return listAnswer(this.#images);
      case Snapshots.method.list:
        return snapshotsAnswer(message as ListSnapshotsRequest, this.unpacking);
      case Content.method.listStatuses:
        if ((message as ListStatusesRequest).filters.length > 0) this.unexpected.push("ListStatuses with filters");
        return statusesAnswer(this.#ingests);
    }
    this.unexpected.push(`${call.path}: not served`);
    throw new GrpcStatus(12, `unknown method ${method.name} for service ${method.parent.typeName}`);
  }

  #publish({ topic, event }: PublishRequest, call: ContainerdCall): Response {
    if (event === undefined) {
      // containerd 1.6 does not survive it.
      this.unexpected.push("Publish without an event");
      void this.stop();
      throw new GrpcStatus(14, "the fake containerd crashed");
    }
    const namespace = this.#requireNamespace(call, "failed publishing event: ");
    const refusal = topicRefusal(topic);
    if (refusal !== undefined) throw new GrpcStatus(3, refusal);
    this.events.send(create(EnvelopeSchema, { namespace, topic, event }));
    return answer(Events.method.publish.output, {});
  }

  #requireNamespace({ path, headers }: ContainerdCall, attempt = ""): string {
    const namespace = headers["containerd-namespace"];
    if (namespace === undefined) throw new GrpcStatus(9, `${attempt}namespace is required: failed precondition`);
    if (namespace === KUBELETS_NAMESPACE) return namespace;
    this.unexpected.push(`${path} in the namespace ${namespace}`);
    throw new GrpcStatus(12, `the fake containerd has the namespace ${KUBELETS_NAMESPACE} alone`);
  }

  async #pull({ image, auth }: PullImageRequest, { call, left }: Answering): Promise<Response> {
    const reference = parsedForPull(image?.image ?? "");
    const asked = image?.image ?? "";
    this.#pulling.add(call);
    this.mostPulling = Math.max(this.mostPulling, this.pulling);
    const found = await downloaded({
      reference,
      registry: this.registries[reference.host],
      sent: auth === undefined ? undefined : { username: auth.username, password: auth.password },
      stepMs: this.#options.stepMs ?? 20,
      left,
      ingests: this.#ingests,
      pass: (point) => this.#holds.pass(point, asked, left),
      knows: (layer) => this.#images.hasLayer(layer),
    });
    left.throwIfAborted();
    if (found instanceof Response) return found;
    this.#images.addPulled(reference, found);
    return answer(ImageService.method.pullImage.output, { imageRef: found.id });
  }
}

function parsed(text: string): FakeReference {
  const reference = parseFakeReference(text);
  if (reference === undefined) throw new Error(`not a reference: ${text}`);
  return reference;
}
