// Serves a manifest or an index: from the first candidate that has it, with the digest that a
// person is promised.

import { createHash } from "node:crypto";
import { repositoryOf } from "../images/reference.ts";
import type { Candidate } from "../images/rules.ts";
import { readBody } from "../support/http/client.ts";
import type { Answer, Reply } from "../support/http/server.ts";
import { askMirror, attempt, type ContentRequest, type EndpointContext, reportDelivery } from "./candidates.ts";
import { digestsIn, headersNamed, isPage, MANIFEST_LIMIT_BYTES } from "./protocol.ts";
import { UpstreamError } from "./upstream.ts";

/** The headers of a mirror that a client needs. */
const PASSED = ["content-type", "content-length", "docker-content-digest", "etag"];

/** Milliseconds for a manifest to arrive after its headers. */
const BODY_TIMEOUT_MS = 10_000;

/** Replies with the manifest; returns false, and has not replied, if no candidate has it. */
export async function serveManifest(request: ContentRequest, reply: Reply, context: EndpointContext): Promise<boolean> {
  for (const candidate of request.target.candidates) {
    const answer = await attempt(candidate, request, context, () => manifestFrom(candidate, request, context));
    if (answer === undefined) continue;
    reportDelivery(candidate, context);
    await reply(answer);
    return true;
  }
  return false;
}

async function manifestFrom(candidate: Candidate, request: ContentRequest, context: EndpointContext): Promise<Answer> {
  const { target, method, signal } = request;
  const { reference } = target;
  const resource = `manifests/${reference.digest ?? reference.tag}`;
  const response = await askMirror(candidate, request, resource, request.headers, context);
  const headers = headersNamed(PASSED, response.headers);
  if (response.status === 304) {
    await response.body?.cancel();
    return { status: 304, headers, body: "" };
  }
  const declared = headers["docker-content-digest"];
  if (method === "HEAD") {
    await response.body?.cancel();
    if (declared === undefined || headers["content-length"] === undefined) {
      return await manifestFrom(candidate, { ...request, method: "GET" }, context);
    }
    admit(candidate, declared, request, context);
    return { status: 200, headers, body: "" };
  }
  const limits = { limit: MANIFEST_LIMIT_BYTES, timeoutMs: BODY_TIMEOUT_MS, signal };
  const bytes = await readBody(response, limits).catch((error) => {
    signal.throwIfAborted();
    throw new UpstreamError("registry-down", `GET ${candidate.reference}: ${error.message}`);
  });
  const text = new TextDecoder().decode(bytes);
  if (isPage("", text)) throw new UpstreamError("not-a-registry", `GET ${candidate.reference}: a web page`);
  const digest = digestOf(bytes, reference.digest ?? declared);
  if (reference.digest !== undefined && digest !== reference.digest) {
    throw new UpstreamError("registry-error", `${candidate.reference} delivered ${digest} instead`);
  }
  admit(candidate, digest, request, context);
  const contents = digestsIn(text);
  context.pulls.manifestServed({ target, candidate, digest, contents });
  const exact = { "content-length": String(bytes.byteLength), "docker-content-digest": digest };
  return { status: 200, headers: { ...headers, ...exact }, body: bytes };
}

/** Lets this digest have the requested name, or throws UpstreamError. */
function admit(candidate: Candidate, digest: string, { target }: ContentRequest, context: EndpointContext): void {
  const { reference } = target;
  if (reference.digest === undefined) {
    const veto = context.veto(target, candidate, digest);
    if (veto !== undefined) throw new UpstreamError("digest-changed", veto);
    context.pulls.resolved(target, `${repositoryOf(reference)}@${digest}`);
  }
}

/** The digest of these bytes, by the algorithm of the expected one. */
function digestOf(bytes: Uint8Array, expected: string | undefined): string {
  const algorithm = expected?.startsWith("sha512:") ? "sha512" : "sha256";
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}
