// The routes of the registry endpoint, a part of the OCI distribution specification (1.1, "Endpoints"):
//
//     GET      /v2/
//     GET|HEAD /v2/NAME/manifests/REFERENCE      a tag or a digest
//     GET|HEAD /v2/NAME/blobs/DIGEST
//
// Pure: a method, a path and a host in, a route out.

import { formatReference, type Reference, referenceOrUndefined } from "../images/reference.ts";

/** What a client requests. `image` is its name at the origin, with the tag or digest of the path. */
export type Route =
  | { readonly result: "base" }
  | { readonly result: "manifest"; readonly image: Reference }
  | { readonly result: "blob"; readonly image: Reference; readonly digest: string }
  | { readonly result: "refused"; readonly status: 404 | 405; readonly because: string };

/** A request as far as it selects a route. */
export interface RouteRequest {
  readonly method: string;
  /** The path as sent, without the query. */
  readonly path: string;
  /** The registry that the client believes it talks to: `host[:port]`; see originOf. */
  readonly origin: string;
}

/** The algorithms that every implementation has (OCI image specification, descriptor.md, "Registered Algorithms"). */
const DIGEST = /^sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})$/;

/** Finds the route of a request. Never throws. */
export function routeOf({ method, path, origin }: RouteRequest): Route {
  if (method !== "GET" && method !== "HEAD") return { result: "refused", status: 405, because: "use GET or HEAD" };
  if (path === "/v2/" || path === "/v2") return { result: "base" };
  // No name, tag or digest needs an escape; with one, two readers could see two different paths.
  const [, name, kind, last] = /^\/v2\/([^%\\]+)\/(manifests|blobs)\/([^/%\\]+)$/.exec(path) ?? [];
  if (name === undefined || last === undefined) return missing("no such route");
  const isDigest = last.includes(":");
  if (isDigest && !DIGEST.test(last)) return missing("not a digest by sha256 or sha512");
  if (kind === "blobs" && !isDigest) return missing("a blob is named by its digest");
  const text = `${origin}/${name}${isDigest ? "@" : ":"}${last}`;
  const image = referenceOrUndefined(text);
  // A parser that fills in or cuts off anything would answer for another name than was requested.
  if (image === undefined || formatReference(image) !== text) return missing("not a valid name");
  return kind === "blobs" ? { result: "blob", image, digest: last } : { result: "manifest", image };
}

/**
 * The registry for which a client asks: the parameter `ns`, which containerd sends to every mirror
 * (containerd, remotes/docker/registry.go), or else the header Host without the port of HTTPS. By
 * the proxy's own address Docker asks for docker.io alone (its `registry-mirrors`).
 */
export function originOf(host: string, query: string): string {
  const [, named] = /(?:^|[?&])ns=([^&]*)/.exec(query) ?? [];
  if (named === undefined && LOOPBACK.test(host)) return "docker.io";
  return (named === undefined ? host : decoded(named)).toLowerCase().replace(/:443$/, "");
}

const LOOPBACK = /^(?:127\.\d+\.\d+\.\d+|\[::1\]|localhost)(?::\d+)?$/i;

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function missing(because: string): Route {
  return { result: "refused", status: 404, because };
}
