// A call of the fake containerd, as it arrives.

import { type DescMethod, type JsonObject, toJson } from "@bufbuild/protobuf";
import { decoded, GrpcStatus, messageIn, methodOf } from "./containerd_wire.ts";

/** One call as it arrived. */
export interface ContainerdCall {
  /** `/SERVICE/METHOD`. */
  readonly path: string;
  /** METHOD alone. */
  readonly method: string;
  /** The request as JSON; empty if it could not be read. */
  readonly request: JsonObject;
  readonly headers: Readonly<Record<string, string>>;
  /** Status of gRPC; unset until there is an answer. */
  status?: number;
  /** How the call ended: with a complete answer, or cut off by the client or containerd. */
  ended?: "complete" | "aborted";
}

/** A call, and what was read of it: a method and its message, or why containerd refuses it. */
export interface Received {
  readonly call: ContainerdCall;
  readonly method: DescMethod | undefined;
  readonly message: unknown;
  readonly refusal: GrpcStatus | undefined;
}

/** Reads a call. */
export async function received(request: Request): Promise<Received> {
  const { pathname: path } = new URL(request.url);
  const headers = Object.fromEntries(request.headers);
  let method: DescMethod | undefined;
  try {
    method = methodOf(path);
    const message = decoded(method.input, messageIn(new Uint8Array(await request.arrayBuffer())));
    const call = { path, method: method.name, request: toJson(method.input, message) as JsonObject, headers };
    return { call, method, message, refusal: undefined };
  } catch (error) {
    if (!(error instanceof GrpcStatus)) throw error;
    const call = { path, method: method?.name ?? "", request: {}, headers };
    return { call, method, message: undefined, refusal: error };
  }
}

/** Returns the reference in a request of CRI's image service. */
export function imageIn({ request }: ContainerdCall): string {
  const { image } = (request.image ?? {}) as { readonly image?: string };
  return image ?? "";
}
