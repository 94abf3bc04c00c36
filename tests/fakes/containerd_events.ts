// The event streams of the fake containerd. As with grpc-go, a subscription is answered with its first
// event, and not before.

import { create, toBinary } from "@bufbuild/protobuf";
import { type Envelope, EnvelopeSchema, NamedSchema } from "../../lib/runtime/containerd/messages/events_pb.ts";
import { encoded, GrpcStatus, KUBELETS_NAMESPACE, rawAnswer } from "./containerd_wire.ts";

interface Follower {
  readonly filters: readonly Filter[];
  readonly send: (frame: Uint8Array<ArrayBuffer>) => void;
  readonly end: () => void;
}

/** Fields and their values; all must match. */
type Filter = ReadonlyMap<string, string>;

/** The subscriptions of a containerd's clients. */
export class ContainerdEvents {
  readonly #followers = new Set<Follower>();

  /** Number of clients that are subscribed, answered or not. */
  get size(): number {
    return this.#followers.size;
  }

  /** Subscribes a client; `ended` is called when it leaves, or `left` is aborted. Throws GrpcStatus. */
  subscribe(filters: readonly string[], left: AbortSignal, ended: () => void): Promise<Response> {
    const answered = Promise.withResolvers<Response>();
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
    const leave = () => {
      if (this.#followers.delete(follower)) ended();
    };
    const open = () => {
      const stream = new ReadableStream<Uint8Array>({ start: (it) => void (controller = it), cancel: leave });
      answered.resolve(rawAnswer(stream));
    };
    const follower: Follower = {
      filters: filters.map(parsedFilter),
      send: (frame) => {
        if (controller === undefined) open();
        controller?.enqueue(frame);
      },
      end: () => {
        if (controller === undefined) open();
        leave();
        controller?.close();
      },
    };
    this.#followers.add(follower);
    left.addEventListener("abort", () => {
      leave();
      answered.reject(left.reason);
    }, { once: true });
    return answered.promise;
  }

  /** Sends an event about something with a name, such as an image, to those who asked for its topic. */
  tell(topic: string, name = "", namespace = KUBELETS_NAMESPACE): void {
    const typeUrl = `containerd.events${topic}`;
    this.send(create(EnvelopeSchema, {
      namespace,
      topic,
      event: { typeUrl, value: toBinary(NamedSchema, create(NamedSchema, { name })) },
    }));
  }

  /** Sends an event to those who asked for it. */
  send(envelope: Envelope): void {
    const fields = new Map([["namespace", envelope.namespace], ["topic", envelope.topic]]);
    const frame = encoded(EnvelopeSchema, envelope);
    for (const { filters, send } of [...this.#followers]) {
      const isWanted = filters.length === 0 ||
        filters.some((filter) => [...filter].every(([field, value]) => fields.get(field) === value));
      if (isWanted) send(frame);
    }
  }

  /** Ends every stream, without a failure. */
  end(): void {
    for (const { end } of [...this.#followers]) end();
  }
}

/** Of containerd's filters only `field==value`, joined by commas. */
function parsedFilter(text: string): Filter {
  const fields = text.split(",").map((part) => /^([a-z]+)==(?:"([^"\\]*)"|([\w.-]+))$/.exec(part));
  if (fields.includes(null)) {
    throw new GrpcStatus(
      2,
      `subscription error: failed parsing subscription filters: filters: parse error: [${text}]: invalid argument`,
    );
  }
  return new Map(fields.map((match) => [match?.[1] ?? "", match?.[2] ?? match?.[3] ?? ""]));
}

/** Returns why containerd refuses a topic, or undefined. */
export function topicRefusal(topic: string): string | undefined {
  const refused = (why: string) => `envelope topic ${JSON.stringify(topic)}: ${why}: invalid argument`;
  if (topic === "") return refused("must not be empty");
  if (!topic.startsWith("/")) return refused("must start with '/'");
  if (topic === "/") return refused("must have at least one component");
  for (const component of topic.slice(1).split("/")) {
    const failed = `failed validation on component ${JSON.stringify(component)}`;
    if (component === "") return refused(`${failed}: identifier must not be empty`);
    const pattern = "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$";
    if (!new RegExp(pattern).test(component)) {
      return refused(`${failed}: identifier ${JSON.stringify(component)} must match ${pattern}`);
    }
  }
  return undefined;
}
