// HTTP requests to a Docker Engine: the negotiated version, deadlines, bounded bodies, and failures
// that say what was attempted. The only route defined here is the ping.

import { HttpError, readBody, send } from "../../support/http/client.ts";
import { type Fields, isFields } from "../../support/json.ts";
import { quote } from "../../support/text.ts";
import type { RuntimeName, Silence, SocketFault } from "../advice.ts";
import { RuntimeError } from "../errors.ts";
import { plainText } from "../registry_texts.ts";
import { socketFault, socketReason } from "../socket.ts";
import { classifyCallFailure, type EngineFailure } from "./failures.ts";
import { negotiatedVersion } from "./request.ts";

const ERROR_BODY_LIMIT = 64 * 1024;
const ANSWER_LIMIT = 8 * 1024 * 1024;
/** Characters of an answer that is not an Engine's. */
const LONGEST_EXCERPT = 200;
const NOT_ENGINE = "not as a Docker Engine does; " +
  "a proxy before that socket must pass GET and POST of /images, and GET of /info, /events and /distribution";

/** How a call is sent; with `noDeadline` it waits for its answer until the signal is aborted. */
export interface CallOptions {
  readonly signal: AbortSignal;
  readonly headers?: Record<string, string>;
  readonly noDeadline?: boolean;
}

/** Speaks HTTP to the Engine on a Unix socket. Calls throw RuntimeError or the signal's reason. */
export class DockerConnection {
  readonly socket: string;
  readonly #runtime: RuntimeName;
  readonly #callTimeoutMs: number;
  readonly #client: Deno.HttpClient;
  #apiVersion: string | undefined;
  #closed = false;

  constructor(runtime: RuntimeName, callTimeoutMs: number) {
    this.#runtime = runtime;
    const socket = this.socket = runtime.socket;
    this.#callTimeoutMs = callTimeoutMs;
    // No connection is kept: one left half-dead by an Engine restart would fail the next call.
    this.#client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket }, poolMaxIdlePerHost: 0 });
  }

  /** The negotiated version, or undefined before the negotiation. */
  get apiVersion(): string | undefined {
    return this.#apiVersion;
  }

  /** Forgets the negotiated version, since a different Engine may answer the next call. */
  forgetVersion(): void {
    this.#apiVersion = undefined;
  }

  /** Closes the client; later calls fail. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.close();
  }

  /**
   * Sends one request with the negotiated version. Negotiates and sends again if the Engine rejects
   * the version, which happens when another Engine has replaced it.
   */
  async call(
    attempt: string,
    method: "GET" | "POST",
    path: string,
    options: CallOptions,
  ): Promise<Response> {
    for (let isRetry = false;; isRetry = true) {
      const version = await this.negotiate(attempt, options.signal);
      const response = await this.#send(attempt, method, `/v${version}${path}`, options);
      if (response.status !== 400) return response;
      const failure = await this.failure(attempt, response, options.signal);
      if (isRetry || !/client version \S+ is too (?:new|old)/.test(failure.message)) {
        throw new RuntimeError("rejected", `${attempt}: ${failure.message}`);
      }
      this.#apiVersion = undefined;
    }
  }

  // GET, not HEAD: the Engine supports HEAD /_ping only since API 1.40.
  async negotiate(attempt: string, signal: AbortSignal): Promise<string> {
    if (this.#apiVersion !== undefined) return this.#apiVersion;
    const response = await this.#send(attempt, "GET", "/_ping", { signal });
    if (response.status !== 200) {
      // The status of the ping is not that of an image: a 404 here does not mean a missing image.
      const { message } = await this.#said(attempt, response, signal);
      throw new RuntimeError(
        "unreachable",
        `${attempt}: ${this.socket} does not answer as a Docker Engine: ${message}`,
        { silence: this.#silence(`what listens there is not a Docker Engine: ${message}`) },
      );
    }
    await response.body?.cancel();
    const offered = response.headers.get("Api-Version") ?? "";
    const version = negotiatedVersion(attempt, offered);
    if (version === undefined) {
      throw new RuntimeError(
        "failed",
        `${attempt}: ${this.socket} does not answer as a Docker Engine (no Api-Version)`,
        { silence: this.#silence("what listens there is not a Docker Engine: no Api-Version") },
      );
    }
    return this.#apiVersion = version;
  }

  async #send(
    attempt: string,
    method: "GET" | "POST",
    path: string,
    options: CallOptions,
  ): Promise<Response> {
    if (this.#closed) {
      throw new RuntimeError("unreachable", `${attempt}: the connection to the Docker Engine was closed`);
    }
    const { signal, headers = {}, noDeadline = false } = options;
    try {
      return await send({
        url: `http://docker${path}`,
        client: this.#client,
        method,
        headers,
        signal,
        ...(!noDeadline && { headersTimeoutMs: this.#callTimeoutMs }),
      });
    } catch (cause) {
      throw this.unreachable(attempt, cause, signal);
    }
  }

  async #body(attempt: string, response: Response, signal: AbortSignal, limit: number): Promise<string> {
    try {
      const bytes = await readBody(response, { limit, timeoutMs: this.#callTimeoutMs, signal });
      return new TextDecoder().decode(bytes);
    } catch (cause) {
      throw this.unreachable(attempt, cause, signal);
    }
  }

  // Forgets the version, since a different Engine may answer the next call.
  unreachable(attempt: string, cause: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    this.#apiVersion = undefined;
    const fault = socketFault(this.socket, cause);
    const because = socketReason(fault, causeText(cause));
    const message = `${attempt}: no usable answer from the Docker Engine at ${this.socket}: ${because}`;
    return new RuntimeError("unreachable", message, {
      cause: cause instanceof HttpError ? cause.cause : cause,
      silence: this.#silence(because, fault),
    });
  }

  #silence(because: string, fault?: SocketFault): Silence {
    return { runtime: this.#runtime, because, fault };
  }

  async json(attempt: string, response: Response, signal: AbortSignal): Promise<Fields> {
    if (response.status !== 200) throw await this.callError(attempt, response, signal);
    const text = await this.#body(attempt, response, signal, ANSWER_LIMIT);
    const value = parseObject(text);
    if (value !== undefined) return value;
    throw new RuntimeError("failed", `${attempt}: the Docker Engine's answer is not a JSON object`);
  }

  /**
   * Returns the failure that the Engine answered with. Throws RuntimeError if the answer is not an
   * Engine's, since then it says nothing of an image or a mirror. An Engine puts each failure into
   * JSON (moby, MakeErrorHandler of api/server), but for a version that it lacks, which is a 400.
   */
  async failure(attempt: string, response: Response, signal: AbortSignal): Promise<EngineFailure> {
    const { message, isJson } = await this.#said(attempt, response, signal);
    if (!isJson && response.status !== 400) {
      const text = quote(message, LONGEST_EXCERPT);
      throw new RuntimeError(
        "failed",
        `${attempt}: ${this.socket} answered ${response.status}, ${NOT_ENGINE}: ${text}`,
      );
    }
    return { status: response.status, message, retryAfter: response.headers.get("Retry-After") ?? undefined };
  }

  async #said(attempt: string, response: Response, signal: AbortSignal): Promise<{ message: string; isJson: boolean }> {
    const text = await this.#body(attempt, response, signal, ERROR_BODY_LIMIT);
    const answer = parseObject(text);
    const { message } = answer ?? {};
    return {
      message: plainText(typeof message === "string" ? message : text) || `HTTP status ${response.status}`,
      isJson: answer !== undefined || text.trim() === "",
    };
  }

  async callError(attempt: string, response: Response, signal: AbortSignal): Promise<RuntimeError> {
    const failure = await this.failure(attempt, response, signal);
    return new RuntimeError(classifyCallFailure(failure), `${attempt}: ${failure.message}`);
  }
}

function parseObject(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the text of a cause, on one line. */
export function causeText(cause: unknown): string {
  return plainText(cause instanceof Error ? cause.message : String(cause));
}
