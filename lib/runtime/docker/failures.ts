// Classifies failed calls and pulls. Docker Engines report the same registry failure with different
// statuses and texts, so for a pull the text decides first and the status last. Pure.

import type { RuntimeErrorKind } from "../errors.ts";
import { type FailureVerdict, textVerdict } from "../registry_texts.ts";

/** A failure as the Engine reported it. */
export interface EngineFailure {
  /** HTTP status of the Engine's answer; 200 if the failure came in the progress stream. */
  readonly status: number;
  readonly message: string;
  /** The Retry-After header of the answer, if there was one. */
  readonly retryAfter?: string | undefined;
}

/**
 * Classifies a failed pull. `reference` is removed from the text first, so that an image called
 * `denied` does not match.
 *
 * "pull access denied for …, repository does not exist or may require 'docker login'" is `denied`:
 * the registry answered DENIED. Some registries also do so for a repository that does not exist,
 * and Docker cannot distinguish the two. The operator gets Docker's sentence, which names both.
 */
export function classifyPullFailure(failure: EngineFailure, reference: string): FailureVerdict {
  const verdict = textVerdict(failure.message, reference, failure.retryAfter);
  const kind = verdict.kind ?? kindOfStatus(failure.status);
  return { ...verdict, kind: failure.status === 200 ? kindWithin(kind) : kind };
}

/**
 * The kind of a failure in the stream. The Engine begins it once it has what the name stands for:
 * what is missing later is a part of it, and what does not answer later may be the storage of this
 * one image's layers.
 */
function kindWithin(kind: RuntimeErrorKind): RuntimeErrorKind {
  if (kind === "not-found") return "incomplete-image";
  return kind === "registry-down" ? "registry-error" : kind;
}

/**
 * Classifies a failed inspect, tag, or info. To an invalid name, Engine 20.10 answers 500 and later
 * ones 400.
 */
export function classifyCallFailure(failure: EngineFailure): RuntimeErrorKind {
  if (failure.status === 404) return /page not found/i.test(failure.message) ? "failed" : "not-found";
  if (failure.status >= 300 && failure.status < 500) return "rejected";
  return /invalid reference format|invalid tag format|refusing to create|cannot import digest/i.test(failure.message)
    ? "rejected"
    : "failed";
}

function kindOfStatus(status: number): RuntimeErrorKind {
  if (status === 401 || status === 403) return "denied";
  if (status === 404) return "not-found";
  if (status === 429) return "rate-limited";
  if (status >= 502 && status <= 504) return "registry-error";
  return status >= 300 && status < 500 ? "rejected" : "failed";
}
