// Classifies failed calls and pulls of containerd, by its gRPC status and by its texts. Pure.

import type { RuntimeErrorKind } from "../errors.ts";
import { type FailureVerdict, textVerdict } from "../registry_texts.ts";

/** Status codes of gRPC (grpc, doc/statuscodes.md). */
export const STATUS = {
  invalidArgument: 3,
  notFound: 5,
  alreadyExists: 6,
  unimplemented: 12,
  unavailable: 14,
} as const;

/** A failure as containerd reported it. */
export interface GrpcFailure {
  readonly status: number;
  readonly message: string;
}

/**
 * Whether a failure shows that what listens there has no such call, so that every call of its kind
 * would fail: it is no containerd, or has no CRI plugin. With the same status containerd refuses the
 * contents of one image.
 */
export function hasNoSuchCall({ status, message }: GrpcFailure): boolean {
  return status === STATUS.unimplemented &&
    /^(?:unknown (?:service|method)|method \S+ not implemented|what listens there)/.test(message);
}

/** Classifies a failed call other than a pull. */
export function classifyCall(failure: GrpcFailure): RuntimeErrorKind {
  const { status, message } = failure;
  if (status === STATUS.notFound) return "not-found";
  if (status === STATUS.invalidArgument || status === STATUS.alreadyExists) return "rejected";
  if (hasNoSuchCall(failure) || status === STATUS.unavailable) return "unreachable";
  // CRI, for a moment after containerd began to listen.
  if (/server is not initialized yet/.test(message)) return "unreachable";
  return /invalid reference format/.test(message) ? "rejected" : "failed";
}

/** Classifies a failed pull: its text tells more than its status, which is mostly 2. */
export function classifyPull({ status, message }: GrpcFailure, reference: string): FailureVerdict {
  const verdict = textVerdict(message, reference);
  return { ...verdict, kind: verdict.kind ?? classifyCall({ status, message }) };
}
