// A registry mirror in memory, on a loopback port over plain HTTP: it serves what it was given,
// admits whom it is told to, and misbehaves on demand.

import { createHash } from "node:crypto";

/** Answers a request in place of the mirror; `serve` is what the mirror itself would answer. */
export type Respond = (request: Request, serve: () => Response) => Response | Promise<Response>;

/** An image that a mirror has. */
export interface MirrorImage {
  readonly digest: string;
  readonly manifest: string;
  readonly layers: readonly string[];
}

/** A running mirror. */
export interface FakeMirror {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** What it does instead of serving; undefined ends that. */
  respond: Respond | undefined;
  /** The requests, oldest first; `GET /v2/a/manifests/1`. */
  readonly requests: readonly string[];
  /** The headers of the requests, oldest first. */
  readonly headers: readonly Headers[];
  /** Gives it an image, whose layers have these contents. */
  put(pathAndTag: string, layers?: readonly Uint8Array<ArrayBuffer>[]): MirrorImage;
  stop(): Promise<void>;
}

/** The media type of the manifests. */
export const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";

/** Starts a mirror without images. */
export function startMirror(): FakeMirror {
  const manifests = new Map<string, string>();
  const blobs = new Map<string, Uint8Array<ArrayBuffer>>();
  const requests: string[] = [];
  const headers: Headers[] = [];
  const end = new AbortController();
  const serve = (request: Request): Response => {
    const { pathname } = new URL(request.url);
    if (pathname === "/v2/") return new Response("{}");
    const manifest = manifests.get(pathname);
    if (manifest !== undefined) return manifestAnswer(request, manifest);
    const blob = blobs.get(pathname);
    return blob === undefined ? registryError(404, "MANIFEST_UNKNOWN", "manifest unknown") : blobAnswer(request, blob);
  };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, signal: end.signal, onListen: () => {}, onError: () => new Response() },
    async (request) => {
      requests.push(`${request.method} ${new URL(request.url).pathname}`);
      headers.push(request.headers);
      return await (mirror.respond?.(request, () => serve(request)) ?? serve(request));
    },
  );
  const mirror: FakeMirror = {
    host: `127.0.0.1:${server.addr.port}`,
    respond: undefined,
    requests,
    headers,
    put(pathAndTag, layers = [new TextEncoder().encode(`layer of ${pathAndTag}`)]) {
      const [path = "", tag = ""] = pathAndTag.split(":");
      const keep = (bytes: Uint8Array<ArrayBuffer>) => {
        const digest = digestOf(bytes);
        blobs.set(`/v2/${path}/blobs/${digest}`, bytes);
        return { digest, size: bytes.byteLength };
      };
      const config = keep(new TextEncoder().encode(JSON.stringify({ os: "linux", of: pathAndTag })));
      const kept = layers.map(keep);
      const manifest = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST_TYPE, config, layers: kept });
      const digest = digestOf(new TextEncoder().encode(manifest));
      for (const name of [tag, digest]) manifests.set(`/v2/${path}/manifests/${name}`, manifest);
      return { digest, manifest, layers: kept.map((layer) => layer.digest) };
    },
    async stop() {
      end.abort();
      await server.finished;
    },
  };
  return mirror;
}

/** Returns the digest of these bytes. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Returns bytes that differ from place to place, the same each time. */
export function someBytes(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) % 251);
}

/** Returns a registry's answer with a JSON error. */
export function registryError(status: number, code: string, message: string, headers: HeadersInit = {}): Response {
  return Response.json({ errors: [{ code, message }] }, { status, headers });
}

/** Returns an answer whose body ends after `length` bytes: it breaks off, or hangs. */
export function brokenAfter(length: number, answer: Response, how: "cut" | "hangs"): Response {
  const { status, headers } = answer;
  const reader = answer.body!.getReader();
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (sent >= length) {
        if (how === "cut") controller.error(new Error("cut on purpose"));
        else await new Promise(() => {});
        return;
      }
      const { value } = await reader.read();
      const part = value!.subarray(0, length - sent);
      sent += part.byteLength;
      controller.enqueue(part);
    },
  });
  return new Response(body, { status, headers });
}

function manifestAnswer({ method }: Request, manifest: string): Response {
  const bytes = new TextEncoder().encode(manifest);
  return new Response(method === "HEAD" ? null : bytes, {
    headers: {
      "content-type": MANIFEST_TYPE,
      "content-length": String(bytes.byteLength),
      "docker-content-digest": digestOf(bytes),
    },
  });
}

function blobAnswer({ method, headers }: Request, blob: Uint8Array<ArrayBuffer>): Response {
  const [, first] = /^bytes=(\d+)-$/.exec(headers.get("range") ?? "") ?? [];
  const from = Number(first ?? 0);
  const part = blob.subarray(from);
  const range = first === undefined
    ? {}
    : { "content-range": `bytes ${from}-${blob.byteLength - 1}/${blob.byteLength}` };
  return new Response(method === "HEAD" ? null : part, {
    status: first === undefined ? 200 : 206,
    headers: { "content-length": String(part.byteLength), ...range },
  });
}
