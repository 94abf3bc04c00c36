// The adapter for one Docker Engine, over its Unix socket. It uses only seven routes: ping, info,
// events, inspect an image locally or at its registry, pull, and tag. It must never send a request
// that deletes anything, or that changes anything other than what the caller asked for.

import type { RegistryAuth, RemoteImage } from "../../images/registry.ts";
import { type Fields, isFields } from "../../support/json.ts";
import { Watchdog } from "../../support/timeouts.ts";
import type { RuntimeAdvice, RuntimeInfo } from "../advice.ts";
import { errorInBrief } from "../brief_texts.ts";
import { RuntimeError, scrubbedError } from "../errors.ts";
import { plainText } from "../registry_texts.ts";
import {
  type EventOptions,
  type LocalImage,
  type PulledImage,
  type PullOptions,
  type ResolveOptions,
  type Runtime,
} from "../runtime.ts";
import { dockerAdvice } from "./advice.ts";
import { causeText, DockerConnection } from "./connection.ts";
import { EVENT_FILTERS, EVENT_LINE_LIMIT, parseEvent } from "./events.ts";
import { classifyPullFailure, type EngineFailure } from "./failures.ts";
import { readLines } from "./lines.ts";
import { type PullLine, PullTally, readPullLines } from "./pull_stream.ts";
import { pathOf, pullQuery, registryAuthHeader, withoutCredentials } from "./request.ts";

/** Where the Engine listens and how long to wait for it. */
export interface DockerOptions {
  /** Path of the Engine's Unix socket. */
  readonly socket: string;
  /**
   * Milliseconds that a pull may take until its answer begins, and then between changes, before it
   * is given up as stalled.
   */
  readonly noProgressMs: number;
  /**
   * Milliseconds that any other call may take until its headers arrive, and again until its body is
   * complete.
   */
  readonly callTimeoutMs?: number;
}

/**
 * A Docker Engine as a Runtime. It does not connect before the first call, and survives restarts of
 * the Engine.
 */
export class DockerRuntime implements Runtime {
  readonly advice: RuntimeAdvice;
  readonly #noProgressMs: number;
  readonly #callTimeoutMs: number;
  readonly #connection: DockerConnection;

  constructor({ socket, noProgressMs, callTimeoutMs = 30_000 }: DockerOptions) {
    this.#noProgressMs = noProgressMs;
    this.#callTimeoutMs = callTimeoutMs;
    this.advice = dockerAdvice(socket);
    this.#connection = new DockerConnection(this.advice, callTimeoutMs);
  }

  /** Queries the Engine's version, image store and HTTPS proxy. */
  async info(signal: AbortSignal): Promise<RuntimeInfo> {
    const attempt = `query the Docker Engine at ${this.#connection.socket}`;
    const response = await this.#connection.call(attempt, "GET", "/info", { signal });
    const info = await this.#connection.json(attempt, response, signal);
    const driverStatus = Array.isArray(info.DriverStatus) ? info.DriverStatus : [];
    const isSnapshotter = driverStatus.some((row) =>
      Array.isArray(row) && row[0] === "driver-type" && String(row[1]).startsWith("io.containerd.snapshotter")
    );
    return {
      name: "Docker Engine",
      version: typeof info.ServerVersion === "string" ? info.ServerVersion : "unknown",
      apiVersion: this.#connection.apiVersion ?? "unknown",
      imageStore: isSnapshotter ? "containerd's" : "the classic one (a graph driver)",
      canAliasDigest: isSnapshotter,
      ...silentPartIn(info),
      ...httpsProxyIn(info),
    };
  }

  /** `reference` needs an explicit tag or digest: Docker takes `cafe` for an image id prefix. */
  async inspect(reference: string, signal: AbortSignal): Promise<LocalImage | undefined> {
    const attempt = `inspect ${plainText(reference)}`;
    const response = await this.#connection.call(attempt, "GET", `/images/${pathOf(attempt, reference)}/json`, {
      signal,
    });
    if (response.status === 404) {
      const error = await this.#connection.callError(attempt, response, signal);
      if (error.kind === "not-found") return undefined;
      throw error;
    }
    const image = await this.#connection.json(attempt, response, signal);
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
    // Since version 26, the Engine answers 200 to an empty name and does nothing.
    if (target.name === "" || target.tag === "") {
      throw new RuntimeError("rejected", `${attempt}: the name is incomplete`);
    }
    const query = new URLSearchParams({ repo: target.name, tag: target.tag });
    const response = await this.#connection.call(attempt, "POST", `/images/${pathOf(attempt, source)}/tag?${query}`, {
      signal,
    });
    if (response.status !== 201) throw await this.#connection.callError(attempt, response, signal);
    await response.body?.cancel();
  }

  /** Reports each line that shows a change to `onProgress`; a repeated line is not progress. */
  async pull(reference: string, options: PullOptions): Promise<PulledImage> {
    const attempt = `pull ${plainText(reference)}`;
    const query = pullQuery(attempt, reference);
    const watchdog = new Watchdog(this.#noProgressMs);
    const signal = AbortSignal.any([options.signal, watchdog.signal]);
    const tally = new PullTally();
    try {
      const headers = authHeaders(options.auth);
      await this.#connection.negotiate(attempt, options.signal);
      watchdog.feed();
      const response = await this.#connection.call(attempt, "POST", `/images/create?${query}`, {
        signal,
        headers,
        noDeadline: true,
      });
      if (response.status !== 200 || response.body === null) {
        throw pullError(attempt, reference, await this.#connection.failure(attempt, response, signal), options.auth);
      }
      await this.#readProgress(attempt, response.body, tally, (line) => {
        watchdog.feed();
        if (options.onProgress !== undefined) reportProgress(line, options.onProgress);
      });
      return pulledImage(attempt, reference, tally, options.auth);
    } catch (error) {
      options.signal.throwIfAborted();
      if (!watchdog.signal.aborted) throw withoutSecrets(error, options.auth);
      const message = `${attempt}: no progress for ${this.#noProgressMs / 1000} s, given up`;
      const { stalledBy } = tally;
      throw stalledBy === undefined
        ? new RuntimeError("stalled", message)
        : new RuntimeError("failed", `${message}: ${stalledBy}`);
    } finally {
      // Also drops an answer that was not read to its end: the Engine stops a pull whose client has
      // disconnected.
      watchdog.end();
    }
  }

  /** The Engine queries the registry with its own proxies and CAs; downloads nothing (API 1.30). */
  async resolve(reference: string, options: ResolveOptions): Promise<RemoteImage | undefined> {
    const attempt = `resolve ${plainText(reference)}`;
    const path = `/distribution/${pathOf(attempt, reference)}/json`;
    const watchdog = new Watchdog(this.#callTimeoutMs);
    const signal = AbortSignal.any([options.signal, watchdog.signal]);
    try {
      await this.#connection.negotiate(attempt, options.signal);
      watchdog.feed();
      const headers = authHeaders(options.auth);
      const response = await this.#connection.call(attempt, "GET", path, { signal, headers, noDeadline: true });
      if (response.status === 200) return remoteImage(attempt, await this.#connection.json(attempt, response, signal));
      const error = pullError(
        attempt,
        reference,
        await this.#connection.failure(attempt, response, signal),
        options.auth,
      );
      if (error.kind === "not-found") return undefined;
      throw error;
    } catch (error) {
      options.signal.throwIfAborted();
      if (!watchdog.signal.aborted) throw withoutSecrets(error, options.auth);
      // The Engine has already negotiated a version, so it is the registry that does not answer.
      throw new RuntimeError("stalled", `${attempt}: no answer for ${this.#callTimeoutMs / 1000} s, given up`);
    } finally {
      watchdog.end();
    }
  }

  async events({ signal, onOpen, onEvent }: EventOptions): Promise<never> {
    const attempt = `follow the events of the Docker Engine at ${this.#connection.socket}`;
    const query = new URLSearchParams({ filters: EVENT_FILTERS });
    const response = await this.#connection.call(attempt, "GET", `/events?${query}`, { signal });
    if (response.status !== 200 || response.body === null) {
      throw await this.#connection.callError(attempt, response, signal);
    }
    onOpen();
    const tooLong = () => new Error(`an event is longer than ${EVENT_LINE_LIMIT} bytes`);
    try {
      for await (const line of readLines(response.body, EVENT_LINE_LIMIT, tooLong)) {
        const event = parseEvent(line);
        if (event !== undefined) onEvent(event);
      }
    } catch (cause) {
      throw this.#connection.unreachable(attempt, cause, signal);
    }
    throw this.#connection.unreachable(attempt, new Error("the Engine ended the stream"), signal);
  }

  close(): void {
    this.#connection.close();
  }

  async #readProgress(
    attempt: string,
    body: ReadableStream<Uint8Array>,
    tally: PullTally,
    onChange: (line: PullLine) => void,
  ): Promise<void> {
    const lines = readPullLines(body);
    for (;;) {
      let next: IteratorResult<PullLine, void>;
      let changed: boolean;
      try {
        next = await lines.next();
        if (next.done) return;
        changed = tally.add(next.value);
      } catch (cause) {
        this.#connection.forgetVersion();
        throw new RuntimeError(
          "unreachable",
          `${attempt}: the Docker Engine's answer was cut off: ${causeText(cause)}`,
          {
            cause,
          },
        );
      }
      if (changed) onChange(next.value);
    }
  }
}

function pullError(
  attempt: string,
  reference: string,
  failure: EngineFailure,
  auth: RegistryAuth | undefined,
): RuntimeError {
  const { kind, retryAfterSeconds } = classifyPullFailure(failure, reference);
  const error = new RuntimeError(kind, `${attempt}: ${failure.message}`, { retryAfterSeconds });
  return errorInBrief(withoutSecrets(error, auth), reference);
}

function pulledImage(
  attempt: string,
  reference: string,
  tally: PullTally,
  auth: RegistryAuth | undefined,
): PulledImage {
  if (tally.error !== undefined) {
    throw pullError(attempt, reference, { status: 200, message: plainText(tally.error) }, auth);
  }
  if (tally.finalStatus === undefined) {
    throw new RuntimeError(
      "unreachable",
      `${attempt}: the Docker Engine ended the stream before it reported the image as complete`,
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

function authHeaders(auth: RegistryAuth | undefined): Record<string, string> {
  return auth === undefined ? {} : { "X-Registry-Auth": registryAuthHeader(auth) };
}

function withoutSecrets<Thrown>(error: Thrown, auth: RegistryAuth | undefined): Thrown | RuntimeError {
  return auth === undefined ? error : scrubbedError(error, (text) => withoutCredentials(text, auth));
}

function remoteImage(attempt: string, { Descriptor, Platforms }: Fields): RemoteImage {
  const digest = isFields(Descriptor) ? Descriptor.digest : undefined;
  if (typeof digest === "string") return { digest: plainText(digest), platforms: platformsIn(Platforms) };
  throw new RuntimeError("failed", `${attempt}: the Docker Engine's answer has no digest`);
}

// An index names its attestations as images for the platform unknown/unknown (docs.docker.com,
// "Attestation storage").
function platformsIn(value: unknown): string[] {
  const platforms = (Array.isArray(value) ? value : []).flatMap((platform) => {
    if (!isFields(platform)) return [];
    const parts = texts([platform.os, platform.architecture, platform.variant]).filter((part) => part !== "");
    return [plainText(parts.join("/"))];
  });
  return [...new Set(platforms)].filter((platform) => platform !== "" && platform !== "unknown/unknown");
}

// Some Engines answer with null here.
function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((text) => typeof text === "string") : [];
}

// What the Engine says if its containerd, which every pull needs, did not answer it (moby,
// daemon/info_unix.go). If it hangs instead, so does this call.
function silentPartIn({ ContainerdCommit: commit }: Fields): Pick<RuntimeInfo, "silentPart"> {
  return isFields(commit) && commit.ID === "N/A" ? { silentPart: "containerd" } : {};
}

// The Engine replaces the credentials of the URL with xxxxx, from 20.10 on.
function httpsProxyIn({ HttpsProxy: url, NoProxy: noProxy }: Fields): Pick<RuntimeInfo, "httpsProxy"> {
  if (typeof url !== "string" || url === "") return {};
  return { httpsProxy: { url: url.replace(/\/\/[^/@]*@/, "//"), noProxy: typeof noProxy === "string" ? noProxy : "" } };
}
