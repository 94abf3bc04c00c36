// Serves a blob: from the first candidate that has it, and from the next one at the same byte where
// one stops.

import type { Candidate } from "../images/rules.ts";
import type { Reply } from "../support/http/server.ts";
import {
  askMirror,
  attempt,
  type ContentRequest,
  type EndpointContext,
  isCoolingDown,
  reportDelivery,
  reportFailure,
} from "./candidates.ts";
import { type ByteRange, contentRange, rangeIn } from "./protocol.ts";
import { type BlobSource, type Opened, totalOf, transfer, type TransferOptions } from "./transfer.ts";
import { UpstreamError } from "./upstream.ts";

/**
 * Replies with the blob, or with the requested part of it; returns false, and has not replied, if no
 * candidate has it. Throws the last mirror's UpstreamError if the reply could not be completed.
 */
export async function serveBlob(request: ContentRequest, reply: Reply, context: EndpointContext): Promise<boolean> {
  const range = rangeIn(request.range);
  const { candidates } = request.target;
  for (const [index, candidate] of candidates.entries()) {
    if (isCoolingDown(candidate, request, context)) continue;
    const serve = async () => {
      const opened = await attempt(candidate, request, context, () => open(candidate, range.from, request, context));
      if (opened === undefined) return false;
      await send(opened, candidates.slice(index + 1), { range, request, reply, context });
      return true;
    };
    // A question about a blob must not wait for other blobs.
    const isServed = request.method === "HEAD"
      ? await serve()
      : await context.mirrors.withSlot(candidate.mirror, request.signal, serve);
    if (isServed) return true;
  }
  return false;
}

/** An answer, and the size of the complete blob. */
type Sized = Opened & { readonly size: number };

async function open(
  candidate: Candidate,
  from: number,
  request: ContentRequest,
  context: EndpointContext,
): Promise<Sized> {
  const digest = request.target.reference.digest!;
  const range = from === 0 ? {} : { range: `bytes=${from}-` };
  const response = await askMirror(candidate, request, `blobs/${digest}`, range, context);
  const size = totalOf(response, from);
  if (size !== undefined && size >= from) return { candidate, response, size };
  await response.body?.cancel();
  throw new UpstreamError("registry-error", `${candidate.mirror} did not say how large blob ${digest} is`);
}

interface Sending {
  readonly range: ByteRange;
  readonly request: ContentRequest;
  readonly reply: Reply;
  readonly context: EndpointContext;
}

async function send(opened: Sized, others: readonly Candidate[], sending: Sending): Promise<void> {
  const { range, request, reply, context } = sending;
  const { response, size } = opened;
  const { target, method, signal } = request;
  const digest = target.reference.digest!;
  const end = Math.min(range.end ?? size, size);
  const isPart = range.from > 0 || end < size;
  const head = {
    status: isPart ? 206 : 200,
    headers: {
      "content-type": "application/octet-stream",
      "content-length": String(end - range.from),
      "docker-content-digest": digest,
      "accept-ranges": "bytes",
      ...(isPart && { "content-range": contentRange(range.from, end, size) }),
    },
  };
  if (method === "HEAD") {
    await response.body?.cancel();
    reportDelivery(opened.candidate, context);
    return await reply({ ...head, body: "" });
  }
  const blob = context.pulls.blobBegins(target);
  const options: TransferOptions = {
    digest,
    from: range.from,
    end,
    size,
    signal,
    stallTimeoutMs: context.stallTimeoutMs,
    now: context.now,
    failed: (source, error) => reportFailure(source, error, request, context),
    resumed(source, at) {
      blob.resumed();
      context.observer.resumed?.(blob.target, source, at);
    },
    completed: (source) => reportDelivery(source, context),
    delivered: (bytes) => blob.delivered(bytes),
  };
  // Another mirror continues without a slot of its own: to wait for one while holding one could wait
  // forever.
  const sources = others.map((candidate): BlobSource => ({
    candidate,
    isCoolingDown: () => isCoolingDown(candidate, request, context),
    open: (from) => open(candidate, from, request, context).then(({ response }) => response),
  }));
  try {
    await reply({ ...head, body: transfer(opened, sources, options) });
  } finally {
    blob.ended();
  }
}
