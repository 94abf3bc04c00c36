// Calls to a containerd, real or fake, exactly as they are answered: for tests that compare the two.
// Shares no code with lib/ but the messages.

import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { EnvelopeSchema, Events, NamedSchema } from "../../lib/runtime/containerd/messages/events_pb.ts";
import { frame } from "./containerd_wire.ts";

/** An answer as it arrived: the HTTP status, the gRPC status (0 without one), its text, and the messages as JSON. */
export interface RawAnswer {
  readonly http: number;
  readonly status: number;
  readonly text: string;
  readonly messages: readonly unknown[];
}

/** How a call is sent; by default in the kubelet's namespace. */
export interface RawCallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

const HEADERS = { "content-type": "application/grpc", te: "trailers", "containerd-namespace": "k8s.io" };

/** A client of one socket, which keeps no connection. */
export class RawClient implements Disposable {
  readonly #client: Deno.HttpClient;

  constructor(socket: string) {
    const proxy = { transport: "unix", path: socket } as const;
    this.#client = Deno.createHttpClient({ proxy, http1: false, http2: true, poolMaxIdlePerHost: 0 });
  }

  /** Makes one unary call. */
  async call<Input extends DescMessage>(
    method: DescMethod & { readonly input: Input },
    request: MessageInitShape<Input>,
    options: RawCallOptions = {},
  ): Promise<RawAnswer> {
    const body = toBinary(method.input, create(method.input, request));
    const path = `/${method.parent.typeName}/${method.name}`;
    const { response, bytes } = await this.send(path, frame(body), options);
    const messages = unframed(bytes).map((it) => toJson(method.output, fromBinary(method.output, it)));
    return { ...outcomeOf(response), messages };
  }

  /** Sends bytes to a path and returns the answer, whose messages are byte counts. */
  async answerTo(path: string, body: Uint8Array<ArrayBuffer>): Promise<RawAnswer> {
    const { response, bytes } = await this.send(path, body);
    return { ...outcomeOf(response), messages: unframed(bytes).map(({ byteLength }) => byteLength) };
  }

  /**
   * Subscribes to events at once, and yields their topics and the names of what they are about, until
   * the signal is aborted.
   */
  follow(filters: readonly string[], signal: AbortSignal): AsyncGenerator<{ topic: string; name: string }> {
    const method = Events.method.subscribe;
    const body = frame(toBinary(method.input, create(method.input, { filters: [...filters] })));
    const opening = this.#open(`/${method.parent.typeName}/${method.name}`, body, HEADERS, signal);
    return eventsIn(opening);
  }

  /** Sends bytes to a path and reads the whole answer. */
  async send(
    path: string,
    body: Uint8Array<ArrayBuffer>,
    { headers = HEADERS, signal }: RawCallOptions = {},
  ): Promise<{ readonly response: Response; readonly bytes: Uint8Array }> {
    const response = await this.#open(path, body, headers, signal);
    return { response, bytes: await response.bytes() };
  }

  #open(path: string, body: Uint8Array<ArrayBuffer>, headers: HeadersInit, signal?: AbortSignal): Promise<Response> {
    const client = this.#client;
    const options = { method: "POST", client, headers, body, redirect: "manual", ...(signal && { signal }) } as const;
    return fetch(`http://localhost${path}`, options);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

function outcomeOf({ status, headers }: Response) {
  const text = decodeURIComponent(headers.get("grpc-message") ?? "");
  return { http: status, status: Number(headers.get("grpc-status") ?? 0), text };
}

async function* eventsIn(opening: Promise<Response>): AsyncGenerator<{ topic: string; name: string }> {
  let rest = new Uint8Array();
  for await (const chunk of (await opening).body ?? []) {
    rest = new Uint8Array([...rest, ...chunk]);
    while (rest.byteLength >= 5) {
      const end = 5 + new DataView(rest.buffer).getUint32(1);
      if (rest.byteLength < end) break;
      const { topic, event } = fromBinary(EnvelopeSchema, rest.slice(5, end));
      rest = rest.slice(end);
      yield { topic, name: fromBinary(NamedSchema, event?.value ?? new Uint8Array()).name };
    }
  }
}

/** Splits whole messages; throws if the last one is incomplete. */
function unframed(bytes: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let at = 0; at < bytes.byteLength;) {
    const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(1);
    const end = at + 5 + length;
    if (end > bytes.byteLength) throw new Error("the answer ends within a message");
    messages.push(bytes.slice(at + 5, end));
    at = end;
  }
  return messages;
}
