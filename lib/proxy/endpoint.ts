// Answers one request to the registry endpoint: from the rules, and from the first mirror that
// delivers. Reads no credentials of its clients, and holds at most one manifest or one chunk for
// each request.

import { formatReference } from "../images/reference.ts";
import { failedOutcome } from "../plan/outcome.ts";
import { decide, isRefusal, type Target } from "../plan/plan.ts";
import type { Answer, HttpServerOptions, Reply } from "../support/http/server.ts";
import { ClientGoneError, type Question } from "../support/http/wire.ts";
import { serveBlob } from "./blobs.ts";
import { type ContentRequest, type EndpointContext, VIA } from "./candidates.ts";
import { serveManifest } from "./manifests.ts";
import { answerAfter, type ErrorAnswer, errorBody, headersNamed, unknown } from "./protocol.ts";
import { originOf, routeOf } from "./routes.ts";
import { UpstreamError } from "./upstream.ts";

/** Makes the handler of a server; each request uses the context that is current when it arrives. */
export function endpoint(current: () => EndpointContext): HttpServerOptions["handle"] {
  return async (question, reply, signal) => {
    const context = current();
    try {
      await answer(question, reply, signal, context);
    } catch (error) {
      const isExpected = error instanceof UpstreamError || error instanceof ClientGoneError;
      if (!signal.aborted && !isExpected) context.observer.unexpected?.(error);
      throw error;
    }
  };
}

async function answer(
  { method, path, query, headers }: Question,
  reply: Reply,
  signal: AbortSignal,
  context: EndpointContext,
): Promise<void> {
  if (headers.get("via")?.split(",").some((via) => via.trim() === VIA)) return await reply(failed(LOOP));
  const route = routeOf({ method, path, origin: originOf(headers.get("host") ?? "", query) });
  if (route.result === "base") return await reply(BASE);
  if (route.result === "refused") {
    return await reply(failed(route.status === 405 ? notAllowed(route.because) : unknown("manifest", route.because)));
  }
  const kind = route.result;
  const image = formatReference(route.image);
  // Which names a runtime can give an image does not matter, since it gives them itself; so no
  // refusal depends on what is redirected.
  const { planned: target } = decide(image, { ...context, canAliasDigest: undefined, redirected: new Set() });
  if (isRefusal(target)) {
    const { reason, advice: message } = target;
    context.observer.notServed?.({ image, attempts: [], reason, message });
    return await reply(failed(unknown(kind, message)));
  }
  const request = contentRequest(target, kind, { method, headers }, signal);
  const serve = kind === "blob" ? serveBlob : serveManifest;
  if (await serve(request, reply, context)) return;
  const { attempts } = request;
  const { reason, message } = failedOutcome(attempts);
  context.observer.notServed?.({ image, attempts, reason, message });
  await reply(failed(answerAfter(attempts, kind)));
}

/** The headers of a client that a mirror may see; never its credentials. */
const PASSED_ON = ["accept", "if-none-match"];

function contentRequest(
  target: Target,
  kind: ContentRequest["kind"],
  { method, headers }: Pick<Question, "method" | "headers">,
  signal: AbortSignal,
): ContentRequest {
  return {
    kind,
    target,
    method: method === "HEAD" ? "HEAD" : "GET",
    headers: headersNamed(PASSED_ON, headers),
    range: headers.get("range"),
    signal,
    attempts: [],
  };
}

/** Answered without a challenge: a client that sees one sends credentials with each request. */
const BASE: Answer = {
  status: 200,
  headers: { "content-type": "application/json", "docker-distribution-api-version": "registry/2.0" },
  body: "{}",
};

const LOOP: ErrorAnswer = { status: 508, code: "UNSUPPORTED", message: "a mirror of a rule leads back to this proxy" };

function notAllowed(message: string): ErrorAnswer {
  return { status: 405, code: "UNSUPPORTED", message };
}

function failed(answer: ErrorAnswer): Answer {
  return {
    status: answer.status,
    headers: { "content-type": "application/json", "docker-distribution-api-version": "registry/2.0" },
    body: errorBody(answer),
  };
}
