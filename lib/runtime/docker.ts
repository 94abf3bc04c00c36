// The door to one Docker Engine, over its unix socket. It knows five routes and no more: ping, info, look at an image,
// pull one, tag one. It must never send anything that deletes or changes what it was not asked for.
import { HttpError, readBody, send } from "../http.ts";
import { classifyCallFailure, classifyPullFailure, type EngineFailure, plainText } from "./docker_failure.ts";
import { negotiatedVersion, pathOf, pullQuery, registryAuthHeader } from "./docker_request.ts";
import { type PullLine, PullTally, readPullLines } from "./pull_stream.ts";
import {
  type LocalImage,
  type PulledImage,
  type PullOptions,
  type Runtime,
  RuntimeError,
  type RuntimeInfo,
} from "./runtime.ts";

/** Where the Engine is and how long to wait for it. */
export interface DockerOptions {
  /** Path of the Engine's unix socket. */
  readonly socket: string;
  /** Milliseconds a pull may take to begin its answer, and then to show any change, before it is given up as stalled. */
  readonly noProgressMs: number;
  /** Milliseconds every other call may take until its headers are there, and again until its body is complete. */
  readonly callTimeoutMs?: number;
}

const ERROR_BODY_LIMIT = 64 * 1024;
const ANSWER_LIMIT = 8 * 1024 * 1024;

/** A Docker Engine as a Runtime. Needs no connection until the first call, and survives restarts of the Engine. */
export class DockerRuntime implements Runtime {
  readonly #socket: string;
  readonly #noProgressMs: number;
  readonly #callTimeoutMs: number;
  readonly #client: Deno.HttpClient;
  #apiVersion: string | undefined;
  #closed = false;

  constructor(options: DockerOptions) {
    this.#socket = options.socket;
    this.#noProgressMs = options.noProgressMs;
    this.#callTimeoutMs = options.callTimeoutMs ?? 30_000;
    // No connection is kept: one that an Engine restart left half dead would fail the next call.
    this.#client = Deno.createHttpClient({
      proxy: { transport: "unix", path: options.socket },
      poolMaxIdlePerHost: 0,
    });
  }

  /** Asks the Engine who it is and which image store it has. */
  async info(signal: AbortSignal): Promise<RuntimeInfo> {
    const attempt = `ask the Docker Engine at ${this.#socket} about itself`;
    const response = await this.#call(attempt, "GET", "/info", { signal });
    const info = await this.#json(attempt, response, signal);
    const driverStatus = Array.isArray(info.DriverStatus) ? info.DriverStatus : [];
    const isSnapshotter = driverStatus.some((row) =>
      Array.isArray(row) && row[0] === "driver-type" && String(row[1]).startsWith("io.containerd.snapshotter")
    );
    return {
      name: "Docker Engine",
      version: typeof info.ServerVersion === "string" ? info.ServerVersion : "unknown",
      apiVersion: this.#apiVersion ?? "unknown",
      imageStore: isSnapshotter ? "containerd" : "classic",
    };
  }

  /** `reference` needs an explicit tag or digest: Docker takes a bare `cafe` for the beginning of an image id. */
  async inspect(reference: string, signal: AbortSignal): Promise<LocalImage | undefined> {
    const attempt = `inspect ${plainText(reference)}`;
    const response = await this.#call(attempt, "GET", `/images/${pathOf(attempt, reference)}/json`, { signal });
    if (response.status === 404) {
      const error = await this.#callError(attempt, response, signal);
      if (error.kind === "not-found") return undefined;
      throw error;
    }
    const image = await this.#json(attempt, response, signal);
    if (typeof image.Id !== "string" || image.Id === "") {
      throw new RuntimeError("failed", `${attempt}: the Docker Engine's answer has no image id`);
    }
    return { id: image.Id, tags: texts(image.RepoTags), digests: texts(image.RepoDigests) };
  }

  async tag(
    source: string,
    target: { readonly name: string; readonly tag: string },
    signal: AbortSignal,
  ): Promise<void> {
    const attempt = plainText(`tag ${source} as ${target.name}:${target.tag}`);
    // Engines from 26 on answer 200 to an empty name, and do nothing.
    if (target.name === "" || target.tag === "") {
      throw new RuntimeError("rejected", `${attempt}: the name is incomplete`);
    }
    const query = new URLSearchParams({ repo: target.name, tag: target.tag });
    const response = await this.#call(attempt, "POST", `/images/${pathOf(attempt, source)}/tag?${query}`, { signal });
    if (response.status !== 201) throw await this.#callError(attempt, response, signal);
    await response.body?.cancel();
  }

  /** Reports each line that changed something to `onProgress`; a line that repeats itself is no progress. */
  async pull(reference: string, options: PullOptions): Promise<PulledImage> {
    const attempt = `pull ${plainText(reference)}`;
    const query = pullQuery(attempt, reference);
    const watchdog = new Watchdog(this.#noProgressMs);
    const signal = AbortSignal.any([options.signal, watchdog.signal]);
    try {
      const headers = options.auth === undefined ? {} : { "X-Registry-Auth": registryAuthHeader(options.auth) };
      await this.#negotiate(attempt, options.signal);
      watchdog.feed();
      const response = await this.#call(attempt, "POST", `/images/create?${query}`, { signal, headers, patient: true });
      if (response.status !== 200 || response.body === null) {
        throw pullError(attempt, reference, await this.#failure(attempt, response, signal));
      }
      const tally = await this.#readProgress(attempt, response.body, (line) => {
        watchdog.feed();
        if (options.onProgress !== undefined) reportProgress(line, options.onProgress);
      });
      return pulledImage(attempt, reference, tally);
    } catch (error) {
      options.signal.throwIfAborted();
      if (!watchdog.signal.aborted) throw error;
      const message = `${attempt}: no progress for ${this.#noProgressMs / 1000} s, given up`;
      throw new RuntimeError("stalled", message);
    } finally {
      // Also lets go of an answer that was not read to its end: the Engine stops a pull whose client has left.
      watchdog.end();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.close();
  }

  async #readProgress(
    attempt: string,
    body: ReadableStream<Uint8Array>,
    onChange: (line: PullLine) => void,
  ): Promise<PullTally> {
    const tally = new PullTally();
    const lines = readPullLines(body);
    for (;;) {
      let next: IteratorResult<PullLine, void>;
      let changed: boolean;
      try {
        next = await lines.next();
        if (next.done) return tally;
        changed = tally.add(next.value);
      } catch (cause) {
        this.#apiVersion = undefined;
        throw new RuntimeError(
          "unreachable",
          `${attempt}: the answer of the Docker Engine broke off: ${textOf(cause)}`,
          {
            cause,
          },
        );
      }
      if (changed) onChange(next.value);
    }
  }

  // One request under the negotiated version, and once more when the Engine was exchanged for another under us.
  async #call(
    attempt: string,
    method: "GET" | "POST",
    path: string,
    options: { readonly signal: AbortSignal; readonly headers?: Record<string, string>; readonly patient?: boolean },
  ): Promise<Response> {
    for (let isRetry = false;; isRetry = true) {
      const version = await this.#negotiate(attempt, options.signal);
      const response = await this.#send(attempt, method, `/v${version}${path}`, options);
      if (response.status !== 400) return response;
      const failure = await this.#failure(attempt, response, options.signal);
      if (isRetry || !/client version \S+ is too (?:new|old)/.test(failure.message)) {
        throw new RuntimeError("rejected", `${attempt}: ${failure.message}`);
      }
      this.#apiVersion = undefined;
    }
  }

  // GET, not HEAD: Engines answer HEAD /_ping only from API 1.40 on.
  async #negotiate(attempt: string, signal: AbortSignal): Promise<string> {
    if (this.#apiVersion !== undefined) return this.#apiVersion;
    const response = await this.#send(attempt, "GET", "/_ping", { signal });
    if (response.status !== 200) {
      // Its own status must not be taken for that of an image: a 404 here is no missing image.
      const { message } = await this.#failure(attempt, response, signal);
      throw new RuntimeError(
        "unreachable",
        `${attempt}: ${this.#socket} does not answer as a Docker Engine: ${message}`,
      );
    }
    await response.body?.cancel();
    const offered = response.headers.get("Api-Version") ?? "";
    const version = negotiatedVersion(attempt, offered);
    if (version === undefined) {
      throw new RuntimeError(
        "failed",
        `${attempt}: ${this.#socket} does not answer as a Docker Engine (no Api-Version)`,
      );
    }
    return this.#apiVersion = version;
  }

  async #send(
    attempt: string,
    method: "GET" | "POST",
    path: string,
    options: { readonly signal: AbortSignal; readonly headers?: Record<string, string>; readonly patient?: boolean },
  ): Promise<Response> {
    if (this.#closed) {
      throw new RuntimeError("unreachable", `${attempt}: the connection to the Docker Engine was closed`);
    }
    const { signal, headers = {}, patient = false } = options;
    try {
      return await send({
        url: `http://docker${path}`,
        client: this.#client,
        method,
        headers,
        signal,
        ...(!patient && { headersTimeoutMs: this.#callTimeoutMs }),
      });
    } catch (cause) {
      throw this.#unreachable(attempt, cause, signal);
    }
  }

  async #body(attempt: string, response: Response, signal: AbortSignal, limit: number): Promise<string> {
    try {
      const bytes = await readBody(response, { limit, timeoutMs: this.#callTimeoutMs, signal });
      return new TextDecoder().decode(bytes);
    } catch (cause) {
      throw this.#unreachable(attempt, cause, signal);
    }
  }

  // What answers next time may be another Engine, so its version is asked for again.
  #unreachable(attempt: string, cause: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    this.#apiVersion = undefined;
    const message = `${attempt}: no usable answer from the Docker Engine at ${this.#socket}: ${textOf(cause)}`;
    return new RuntimeError("unreachable", message, { cause: cause instanceof HttpError ? cause.cause : cause });
  }

  async #json(attempt: string, response: Response, signal: AbortSignal): Promise<Record<string, unknown>> {
    if (response.status !== 200) throw await this.#callError(attempt, response, signal);
    const text = await this.#body(attempt, response, signal, ANSWER_LIMIT);
    const value = parseObject(text);
    if (value !== undefined) return value;
    throw new RuntimeError("failed", `${attempt}: the Docker Engine's answer is not a JSON object`);
  }

  async #failure(attempt: string, response: Response, signal: AbortSignal): Promise<EngineFailure> {
    const text = await this.#body(attempt, response, signal, ERROR_BODY_LIMIT);
    const message = parseObject(text)?.message;
    return {
      status: response.status,
      message: plainText(typeof message === "string" ? message : text) || `HTTP status ${response.status}`,
      retryAfter: response.headers.get("Retry-After") ?? undefined,
    };
  }

  async #callError(attempt: string, response: Response, signal: AbortSignal): Promise<RuntimeError> {
    const failure = await this.#failure(attempt, response, signal);
    return new RuntimeError(classifyCallFailure(failure), `${attempt}: ${failure.message}`);
  }
}

/** Aborts its signal when it was not fed for `limitMs`. */
class Watchdog {
  readonly #controller = new AbortController();
  readonly #limitMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  feed(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), this.#limitMs);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#controller.abort();
  }
}

function pullError(attempt: string, reference: string, failure: EngineFailure): RuntimeError {
  const { kind, retryAfterSeconds } = classifyPullFailure(failure, reference);
  return new RuntimeError(kind, `${attempt}: ${failure.message}`, { retryAfterSeconds });
}

function pulledImage(attempt: string, reference: string, tally: PullTally): PulledImage {
  if (tally.error !== undefined) {
    throw pullError(attempt, reference, { status: 200, message: plainText(tally.error) });
  }
  if (tally.finalStatus === undefined) {
    throw new RuntimeError(
      "unreachable",
      `${attempt}: the Docker Engine ended before it said that the image is complete`,
    );
  }
  const asked = /@(.*)$/.exec(reference)?.[1];
  if (asked !== undefined && tally.digest !== undefined && tally.digest !== asked) {
    throw new RuntimeError("failed", `${attempt}: the Docker Engine pulled another digest, ${plainText(tally.digest)}`);
  }
  return { digest: tally.digest, bytes: tally.bytes };
}

function reportProgress(line: PullLine, onProgress: NonNullable<PullOptions["onProgress"]>): void {
  const { id, status, current, total } = line;
  if (id === undefined || status === undefined || status.startsWith("Pulling from ")) return;
  onProgress({
    layer: id,
    status,
    ...(current !== undefined && { current }),
    ...(total !== undefined && { total }),
  });
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

// Null in the answers of some Engines.
function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((text) => typeof text === "string") : [];
}

function textOf(cause: unknown): string {
  return plainText(cause instanceof Error ? cause.message : String(cause));
}
