// The one port Gilly opens, and only where the config says so: /metrics for Prometheus, /healthz for whoever watches the
// process. GET and HEAD, nothing else; nothing that is asked here changes anything.

import type { ListenAddress } from "./config_values.ts";
import { describeError } from "./errors.ts";

/** What the two paths answer. */
export interface Exhibits {
  readonly contentType: string;
  render(): Promise<string>;
  /** Whether the daemon's loop makes progress, in a sentence. */
  health(): { readonly healthy: boolean; readonly sentence: string };
}

/** The port cannot be had; the message names the address. */
export class MetricsServerError extends Error {
  override name = "MetricsServerError";
}

/** A server that answers until it is closed. */
export interface MetricsServer {
  /** `http://ADDRESS:PORT`, with the port that was really taken. */
  readonly url: string;
  /** Lets go of the port at once, whoever is still connected. */
  close(): Promise<void>;
}

/** Listens and answers. Throws MetricsServerError when the address is taken or is not of this host. */
export function serveMetrics(address: ListenAddress, exhibits: Exhibits): MetricsServer {
  const stop = new AbortController();
  try {
    const server = Deno.serve({
      ...address,
      signal: stop.signal,
      onListen: () => {},
      onError: (error) => plain(500, `the metrics cannot be collected: ${describeError(error)}\n`),
    }, (request) => answer(request, exhibits));
    return {
      url: urlOf({ hostname: address.hostname, port: server.addr.port }),
      async close() {
        stop.abort();
        await server.finished;
      },
    };
  } catch (error) {
    throw new MetricsServerError(`cannot serve metrics on ${urlOf(address)}: ${describeError(error)}`, {
      cause: error,
    });
  }
}

async function answer(request: Request, { contentType, render, health }: Exhibits): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname !== "/metrics" && pathname !== "/healthz") return plain(404, "there is /metrics and /healthz\n");
  if (request.method !== "GET" && request.method !== "HEAD") {
    return plain(405, "only GET and HEAD\n", { allow: "GET, HEAD" });
  }
  if (pathname === "/metrics") return plain(200, await render(), { "content-type": contentType });
  const { healthy, sentence } = health();
  return plain(healthy ? 200 : 503, `${sentence}\n`);
}

function plain(status: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(body, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
  });
}

function urlOf({ hostname, port }: ListenAddress): string {
  return `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}
