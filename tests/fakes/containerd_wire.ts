// gRPC as containerd 1.6 speaks it, on the server's side: requests, answers, and failures, which are
// headers alone. It shares only the generated messages with lib/.

import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Content } from "../../lib/runtime/containerd/messages/content_pb.ts";
import { ImageService, RuntimeService } from "../../lib/runtime/containerd/messages/cri_pb.ts";
import { Events } from "../../lib/runtime/containerd/messages/events_pb.ts";
import { Images } from "../../lib/runtime/containerd/messages/images_pb.ts";
import { Snapshots } from "../../lib/runtime/containerd/messages/snapshots_pb.ts";

const SERVICES: readonly DescService[] = [RuntimeService, ImageService, Images, Content, Events, Snapshots];

/** The namespace of everything that a kubelet's containerd has. */
export const KUBELETS_NAMESPACE = "k8s.io";

/** A failure with a status of gRPC (grpc, doc/statuscodes.md). */
export class GrpcStatus extends Error {
  override name = "GrpcStatus";

  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** Returns the method that a path names. Throws GrpcStatus as grpc-go does. */
export function methodOf(path: string): DescMethod {
  const [, service = "", name = ""] = /^\/(.*)\/([^/]*)$/.exec(path) ?? [];
  if (service === "") throw new GrpcStatus(8, `malformed method name: ${JSON.stringify(path)}`);
  const found = SERVICES.find(({ typeName }) => typeName === service);
  if (found === undefined) throw new GrpcStatus(12, `unknown service ${service}`);
  const method = found.methods.find((it) => it.name === name);
  if (method === undefined) throw new GrpcStatus(12, `unknown method ${name} for service ${service}`);
  return method;
}

/** Returns the bytes of a request's first message. Throws GrpcStatus as grpc-go does. */
export function messageIn(body: Uint8Array): Uint8Array {
  if (body.byteLength < 5) throw new GrpcStatus(2, "unexpected EOF");
  if (body[0] !== 0) throw new GrpcStatus(13, "grpc: compressed flag set with identity or empty encoding");
  const length = new DataView(body.buffer, body.byteOffset).getUint32(1);
  const limit = 16 * 1024 * 1024;
  if (length > limit) {
    throw new GrpcStatus(8, `grpc: received message larger than max (${length} vs. ${limit})`);
  }
  if (body.byteLength < 5 + length) throw new GrpcStatus(2, "unexpected EOF");
  return body.subarray(5, 5 + length);
}

/** Decodes a message. Throws GrpcStatus as grpc-go does. */
export function decoded<Input extends DescMessage>(input: Input, bytes: Uint8Array) {
  try {
    return fromBinary(input, bytes);
  } catch {
    throw new GrpcStatus(13, "grpc: error unmarshalling request: unexpected EOF");
  }
}

/** Puts gRPC's head before a message. */
export function frame(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const { byteLength } = message;
  return new Uint8Array([0, byteLength >>> 24, byteLength >>> 16, byteLength >>> 8, byteLength, ...message]);
}

/** Returns a message with its head. */
export function encoded<Output extends DescMessage>(output: Output, message: MessageInitShape<Output>) {
  return frame(toBinary(output, create(output, message)));
}

/** Returns an answer with any body: one that a containerd would send, or not. */
export function rawAnswer(body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null): Response {
  return new Response(body, { headers: { "content-type": "application/grpc" } });
}

/** Returns an answer with one message. */
export function answer<Output extends DescMessage>(output: Output, message: MessageInitShape<Output>): Response {
  return rawAnswer(encoded(output, message));
}

/** Returns a failure as grpc-go sends it. */
export function failure(status: number, text: string): Response {
  const headers = { "content-type": "application/grpc", "grpc-status": String(status), "grpc-message": escaped(text) };
  return new Response(null, { headers });
}

/** gRPC, PROTOCOL-HTTP2.md, "Status-Message". */
function escaped(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    return isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}
