// A mirror of one image, `team/app:1`, that answers any part of a pull as a case wants.

import type { IssuedCertificate } from "../../fakes/certificates.ts";
import type { Stock } from "./images.ts";

/** The parts of a pull that can be answered differently; `all` are all but `token`. */
type PartOfPull = "ping" | "manifest" | "config" | "layer" | "token" | "all";

/** Answers a request; `normal` is the mirror's own answer. */
export type Answer = (request: Request, normal: () => Response) => Response | Promise<Response>;

/** What a mirror answers in place of what it has. */
export type Answers = Partial<Record<PartOfPull, Answer>>;

/** A running mirror. */
export interface Mirror extends AsyncDisposable {
  readonly port: number;
}

/** Starts a mirror, on a loopback port by default; with a certificate it serves HTTPS. */
export function startMirror(
  stock: Stock,
  answers: Answers = {},
  { hostname = "127.0.0.1", certificate }: {
    readonly hostname?: string;
    readonly certificate?: IssuedCertificate;
  } = {},
): Mirror {
  const end = new AbortController();
  const handler = async (request: Request) => {
    const part = partOf(new URL(request.url).pathname, stock);
    const answer = answers[part] ?? (part === "token" ? undefined : answers.all);
    const normal = () => normally(request, stock);
    const response = answer === undefined ? normal() : await answer(request, normal);
    return request.method === "HEAD" ? new Response(null, response) : response;
  };
  const { certificatePem: cert, keyPem: key } = certificate ?? {};
  const server = Deno.serve({
    hostname,
    port: 0,
    signal: end.signal,
    onListen: () => {},
    onError: () => new Response(null, { status: 500 }),
    ...(cert !== undefined && key !== undefined && { cert, key }),
  }, handler);
  return {
    port: (server.addr as Deno.NetAddr).port,
    async [Symbol.asyncDispose]() {
      end.abort();
      await server.finished;
    },
  };
}

function partOf(path: string, { configDigest }: Stock): PartOfPull {
  if (path === "/v2/") return "ping";
  if (path === "/token") return "token";
  if (path.includes("/manifests/")) return "manifest";
  return path.endsWith(configDigest) ? "config" : "layer";
}

function normally({ url }: Request, { manifest, blobs }: Stock): Response {
  const { pathname } = new URL(url);
  if (pathname === "/v2/") {
    return Response.json({}, { headers: { "Docker-Distribution-Api-Version": "registry/2.0" } });
  }
  if (pathname.includes("/manifests/")) {
    return new Response(manifest.bytes, {
      headers: {
        "Content-Type": manifest.mediaType,
        "Content-Length": String(manifest.bytes.byteLength),
        "Docker-Content-Digest": manifest.digest,
      },
    });
  }
  const blob = blobs.get(pathname.slice(pathname.lastIndexOf("/") + 1));
  if (blob === undefined) return refusing(404, "BLOB_UNKNOWN", "blob unknown to registry")();
  return new Response(blob, {
    headers: { "Content-Type": "application/octet-stream", "Content-Length": String(blob.byteLength) },
  });
}

/** Refuses as the distribution specification says. Engines read an error with a detail differently. */
export function refusing(
  status: number,
  code: string,
  message: string,
  { headers = {}, detail }: { readonly headers?: Record<string, string>; readonly detail?: unknown } = {},
): () => Response {
  return () => Response.json({ errors: [{ code, message, detail }] }, { status, headers });
}

/** Answers with a web page. */
export function page(status: number, title: string, headers: Record<string, string> = {}): () => Response {
  const html = `<!DOCTYPE html>\n<html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>\n`;
  return () => new Response(html, { status, headers: { "Content-Type": "text/html; charset=utf-8", ...headers } });
}

/** Answers with plain text, or with an empty body. */
export function plain(status: number, text = "", headers: Record<string, string> = {}): () => Response {
  return () => new Response(text, { status, headers: { "Content-Type": "text/plain; charset=utf-8", ...headers } });
}

/** Never answers. */
export const silent: Answer = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

/** Asks for a token of `/token`, whatever the token; `token` answers for it. */
export function demandingToken(token: Answer): Answers {
  return {
    token,
    all: (request, normal) => {
      const challenge = `Bearer realm="${new URL(request.url).origin}/token",service="mirror"`;
      return request.headers.get("Authorization") === "Bearer given"
        ? normal()
        : refusing(401, "UNAUTHORIZED", "authentication required", { headers: { "WWW-Authenticate": challenge } })();
    },
  };
}
