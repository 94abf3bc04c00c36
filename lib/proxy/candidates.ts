// Tries the candidates of an image: what one request and one config bring to it, and what becomes
// of a mirror that does not deliver.

import type { Exclusions } from "../images/exclusions.ts";
import type { Candidate, RegistryMap } from "../images/rules.ts";
import { failureInWords } from "../mirrors/denial.ts";
import type { Mirrors } from "../mirrors/mirrors.ts";
import type { CandidateAttempt } from "../plan/outcome.ts";
import type { Target, Veto } from "../plan/plan.ts";
import type { ProxyObserver } from "./observer.ts";
import type { Pulls } from "./pulls.ts";
import { type Upstream, UpstreamError } from "./upstream.ts";

/** What one config makes of the proxy. */
export interface EndpointContext {
  readonly registries: RegistryMap;
  readonly exclusions: Exclusions;
  readonly mirrors: Mirrors;
  readonly upstream: Upstream;
  readonly pulls: Pulls;
  readonly veto: Veto;
  readonly observer: ProxyObserver;
  /** Milliseconds without a byte of a blob after which a mirror is given up. */
  readonly stallTimeoutMs: number;
  /** Milliseconds, by Clock.now. */
  readonly now: () => number;
}

/** A request for a manifest or a blob of an image that has candidates. */
export interface ContentRequest {
  readonly kind: "manifest" | "blob";
  readonly target: Target;
  readonly method: "GET" | "HEAD";
  /** The client's headers that a mirror may see. */
  readonly headers: Readonly<Record<string, string>>;
  /** The client's header Range. */
  readonly range: string | undefined;
  readonly signal: AbortSignal;
  readonly attempts: CandidateAttempt[];
}

/** What marks requests of this proxy, so that a mirror which is this proxy is noticed (RFC 9110, 7.6.3). */
export const VIA = "1.1 gilly";

/**
 * Runs one try of a candidate. Returns undefined if the candidate did not deliver, which is then
 * recorded. Throws the signal's reason.
 */
export async function attempt<Result>(
  candidate: Candidate,
  request: ContentRequest,
  context: EndpointContext,
  run: () => Promise<Result>,
): Promise<Result | undefined> {
  if (isCoolingDown(candidate, request, context)) return undefined;
  try {
    return await run();
  } catch (error) {
    request.signal.throwIfAborted();
    if (!(error instanceof UpstreamError)) throw error;
    reportFailure(candidate, error, request, context);
    return undefined;
  }
}

/** Whether a candidate's mirror is cooling down, which is then recorded. */
export function isCoolingDown(
  candidate: Candidate,
  { target, attempts }: ContentRequest,
  { mirrors, observer }: EndpointContext,
): boolean {
  const coolingDown = mirrors.coolingDown(candidate);
  if (coolingDown === undefined) return false;
  const attempt: CandidateAttempt = { candidate, failure: "cooling-down", ...coolingDown };
  attempts.push(attempt);
  observer.candidateFailed?.(target, attempt);
  return true;
}

/**
 * Records that a candidate delivered all of something, with the right digest. One that failed
 * meanwhile, as other requests saw, goes on cooling down.
 */
export function reportDelivery(candidate: Candidate, { mirrors }: EndpointContext): void {
  if (mirrors.coolingDown(candidate) === undefined) mirrors.delivered(candidate);
}

/** Records that a candidate did not deliver, and starts the cool-down that this calls for. */
export function reportFailure(
  candidate: Candidate,
  error: UpstreamError,
  { target, attempts }: ContentRequest,
  { mirrors, observer }: EndpointContext,
): void {
  mirrors.failed(candidate, error);
  const message = failureInWords(candidate, error, mirrors);
  const attempt: CandidateAttempt = { candidate, failure: error.kind, message };
  attempts.push(attempt);
  observer.candidateFailed?.(target, attempt);
}

/** Requests something of a candidate's repository. Throws what Upstream.request throws. */
export async function askMirror(
  { mirror, repository, reference }: Candidate,
  { method, signal }: Pick<ContentRequest, "method" | "signal">,
  resource: string,
  headers: Readonly<Record<string, string>>,
  { mirrors, upstream }: EndpointContext,
): Promise<Response> {
  return await upstream.request({
    mirror,
    repository: repository.slice(repository.indexOf("/") + 1),
    resource,
    method,
    headers: { ...headers, via: VIA },
    auth: await mirrors.credentials(mirror, reference),
    signal,
  });
}
