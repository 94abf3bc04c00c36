// Calls to containerd by gRPC over HTTP/2 on its Unix socket: unary calls with a deadline, and
// streams. containerd answers an error in the headers alone, so trailers, which fetch does not show,
// are never needed (gRPC, PROTOCOL-HTTP2.md, "Trailers-Only").

import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { HttpError, HttpTimeoutError, send } from "../../support/http/client.ts";
import { LinkedSignal } from "../../support/timeouts.ts";
import type { RuntimeName, Silence } from "../advice.ts";
import { RuntimeError } from "../errors.ts";
import { plainText } from "../registry_texts.ts";
import { socketFault, socketReason } from "../socket.ts";
import { classifyCall, type GrpcFailure, hasNoSuchCall, STATUS } from "./failures.ts";
import { framed, FrameError, FrameReader } from "./frames.ts";

/** The most bytes of one answer: the limit of containerd's own clients (containerd, defaults.go). */
const ANSWER_LIMIT = 16 * 1024 * 1024;

/** The namespace of everything that the kubelet's containers use (containerd, pkg/cri/constants). */
const NAMESPACE = "k8s.io";

/** How a call is made; with `noDeadline` it waits for its answer until the signal is aborted. */
export interface CallOptions {
  readonly signal: AbortSignal;
  readonly noDeadline?: boolean;
}

/** Thrown for a status other than OK. */
export class GrpcError extends RuntimeError {
  override name = "GrpcError";
  readonly status: number;

  constructor(attempt: string, failure: GrpcFailure, silence?: Silence) {
    super(classifyCall(failure), `${attempt}: ${failure.message}`, { silence });
    this.status = failure.status;
  }
}

/** Thrown for an answer that cannot be read. */
export class AnswerError extends RuntimeError {
  override name = "AnswerError";
}

/** Speaks gRPC to a containerd. Calls throw RuntimeError or the signal's reason. */
export class ContainerdConnection {
  readonly #runtime: RuntimeName;
  readonly #callTimeoutMs: number;
  readonly #client: Deno.HttpClient;
  #closed = false;

  constructor(runtime: RuntimeName, callTimeoutMs: number) {
    this.#runtime = runtime;
    this.#callTimeoutMs = callTimeoutMs;
    this.#client = Deno.createHttpClient({
      proxy: { transport: "unix", path: runtime.socket },
      http1: false,
      http2: true,
      // No connection is kept: one left half-dead by a restart would fail the next call.
      poolMaxIdlePerHost: 0,
    });
  }

  /** Closes the client; later calls fail. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.close();
  }

  /** Makes one call with one answer. */
  async unary<Input extends DescMessage, Output extends DescMessage>(
    attempt: string,
    method: DescMethodUnary<Input, Output>,
    request: MessageInitShape<Input>,
    options: CallOptions,
  ): Promise<MessageShape<Output>> {
    using asking = new LinkedSignal(options.signal);
    let isLate = false;
    const timer = options.noDeadline ? undefined : setTimeout(() => {
      isLate = true;
      asking.abort();
    }, this.#callTimeoutMs);
    try {
      const messages = this.#messages(attempt, method, request, asking.signal);
      const first = await messages.next();
      if (first.done) throw this.#unreadable(attempt, "it ended the answer without a message", undefined);
      await messages.return();
      return first.value;
    } catch (error) {
      options.signal.throwIfAborted();
      if (!isLate) throw error;
      const text = `no answer within ${this.#callTimeoutMs / 1000} s`;
      throw this.#silent(attempt, text, new HttpTimeoutError(text));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Makes a call whose messages are yielded as they arrive. */
  stream<Input extends DescMessage, Output extends DescMessage>(
    attempt: string,
    method: DescMethodServerStreaming<Input, Output>,
    request: MessageInitShape<Input>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<Output>, void> {
    return this.#messages(attempt, method, request, signal);
  }

  async *#messages<Input extends DescMessage, Output extends DescMessage>(
    attempt: string,
    method: DescMethodUnary<Input, Output> | DescMethodServerStreaming<Input, Output>,
    request: MessageInitShape<Input>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<Output>, void> {
    const service = method.parent.typeName;
    const body = framed(toBinary(method.input, create(method.input, request)));
    const response = await this.#opened(attempt, `${service}/${method.name}`, body, signal);
    const reader = new FrameReader(ANSWER_LIMIT);
    try {
      for await (const chunk of response.body ?? []) {
        for (const message of reader.push(chunk)) yield this.#decoded(attempt, method.output, message);
      }
      reader.end();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof RuntimeError) throw error;
      throw this.#unreadable(attempt, error instanceof FrameError ? error.message : "the answer was cut off", error);
    }
  }

  #decoded<Output extends DescMessage>(attempt: string, output: Output, message: Uint8Array): MessageShape<Output> {
    try {
      return fromBinary(output, message);
    } catch (error) {
      throw this.#unreadable(attempt, `a message that is not a ${output.typeName}`, error);
    }
  }

  async #opened(attempt: string, path: string, body: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<Response> {
    if (this.#closed) {
      throw new RuntimeError("unreachable", `${attempt}: the connection to ${this.#runtime.called} was closed`);
    }
    let response: Response;
    try {
      response = await send({
        url: `http://localhost/${path}`,
        client: this.#client,
        method: "POST",
        headers: { "content-type": "application/grpc", te: "trailers", "containerd-namespace": NAMESPACE },
        body,
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      throw this.#silent(attempt, error instanceof Error ? error.message : String(error), error);
    }
    const failure = failureIn(response);
    if (failure === undefined) return response;
    await response.body?.cancel();
    const silence = hasNoSuchCall(failure) ? { runtime: this.#runtime, because: failure.message } : undefined;
    throw new GrpcError(attempt, failure, silence);
  }

  /** The failure of a call to a runtime that is not containerd. */
  another(attempt: string, name: string): RuntimeError {
    return this.#silent(
      attempt,
      `what listens there is ${name || "a runtime without a name"}, not containerd`,
      undefined,
    );
  }

  #silent(attempt: string, because: string, cause: unknown): RuntimeError {
    const [text, options] = this.#unusable(attempt, because, cause);
    return new RuntimeError("unreachable", text, options);
  }

  #unreadable(attempt: string, because: string, cause: unknown): AnswerError {
    const [text, options] = this.#unusable(attempt, because, cause);
    return new AnswerError("unreachable", text, options);
  }

  #unusable(attempt: string, because: string, error: unknown) {
    const { called, socket } = this.#runtime;
    const fault = socketFault(socket, error);
    const reason = socketReason(fault, reasonOf(plainText(because)));
    const silence: Silence = { runtime: this.#runtime, because: reason, fault };
    const cause = error instanceof HttpError ? error.cause : error;
    return [`${attempt}: no usable answer from ${called} at ${socket}: ${reason}`, { cause, silence }] as const;
  }
}

/**
 * Adds what a reason means: that a server with HTTP/1 alone listens there. How fast it closes decides
 * whether its answer is seen; a containerd that ends closes, too.
 */
function reasonOf(text: string): string {
  if (/frame with invalid size/.test(text)) return `what listens there does not answer as containerd (${text})`;
  if (/connection closed|broken pipe/.test(text)) {
    return `what listens there closed the connection (${text}), as a server does that is not containerd`;
  }
  return text;
}

/** The failure that an answer's headers tell, or undefined. */
function failureIn({ status, headers }: Response): GrpcFailure | undefined {
  const code = headers.get("grpc-status");
  if (code === null && status === 200 && headers.get("content-type")?.startsWith("application/grpc")) return undefined;
  if (code === "0") return undefined;
  if (code !== null && /^\d{1,2}$/.test(code)) {
    return { status: Number(code), message: plainText(decoded(headers.get("grpc-message") ?? "")) || `status ${code}` };
  }
  return {
    status: STATUS.unimplemented,
    message: `what listens there does not answer as containerd (HTTP status ${status})`,
  };
}

/** gRPC percent-encodes the message (PROTOCOL-HTTP2.md, "Status-Message"). */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
