// The only port that Gilly opens, and only if the config says so: /metrics for Prometheus, /healthz
// for monitoring. It accepts only GET and HEAD, and no request changes anything.

import { describeError } from "../support/errors.ts";
import {
  type Answer,
  answering,
  HttpServer,
  type HttpServerOptions,
  type ListenAddress,
  plain,
} from "../support/http/server.ts";
import type { Question } from "../support/http/wire.ts";

/** Answers the two paths. */
export interface MetricsHandler {
  readonly contentType: string;
  render(): Promise<string>;
  /** Returns whether the daemon's loop makes progress, and a sentence about it. */
  health(): { readonly healthy: boolean; readonly sentence: string };
}

/** Reports that the port cannot be served; the message names the address. */
export class MetricsServerError extends Error {
  override name = "MetricsServerError";
}

/** A server that answers until it is closed. */
export interface MetricsServer {
  /** `http://ADDRESS:PORT`, with the actual port. */
  readonly url: string;
  /** Closes the port at once, even if clients are connected. */
  close(): Promise<void>;
}

/**
 * Listens and answers requests. `onEnd` is called with a MetricsServerError if the port is lost.
 * Throws MetricsServerError if the address is taken or does not belong to this host.
 */
export function serveMetrics(
  address: ListenAddress,
  handler: MetricsHandler,
  onEnd: (error: MetricsServerError) => void = () => {},
  limits: Pick<HttpServerOptions, "connections" | "requestMs"> = {},
): MetricsServer {
  const failed = (error: unknown) =>
    new MetricsServerError(`cannot serve metrics on ${urlOf(address)}: ${describeError(error)}`, { cause: error });
  try {
    const server = new HttpServer({
      ...address,
      ...limits,
      handle: answering((question) => answer(question, handler)),
      onEnd: (error) => onEnd(failed(error)),
    });
    return { url: urlOf({ hostname: address.hostname, port: server.port }), close: () => server.close() };
  } catch (error) {
    throw failed(error);
  }
}

async function answer({ method, path }: Question, { contentType, render, health }: MetricsHandler): Promise<Answer> {
  if (path !== "/metrics" && path !== "/healthz") return plain(404, "not found (try /metrics, /healthz)\n");
  if (method !== "GET" && method !== "HEAD") {
    return plain(405, "method not allowed (use GET or HEAD)\n", { allow: "GET, HEAD" });
  }
  if (path === "/healthz") {
    const { healthy, sentence } = health();
    return plain(healthy ? 200 : 503, `${sentence}\n`);
  }
  try {
    return plain(200, await render(), { "content-type": contentType });
  } catch (error) {
    return plain(500, `the metrics cannot be collected: ${describeError(error)}\n`);
  }
}

function urlOf({ hostname, port }: ListenAddress): string {
  return `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}
