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

/** Classifies a failed call other than a pull. */
export function classifyCall({ status, message }: GrpcFailure): RuntimeErrorKind {
  if (status === STATUS.notFound) return "not-found";
  if (status === STATUS.invalidArgument || status === STATUS.alreadyExists) return "rejected";
  if (status === STATUS.unimplemented || status === STATUS.unavailable) return "unreachable";
  // CRI, for a moment after containerd began to listen.
  if (/server is not initialized yet/.test(message)) return "unreachable";
  return /invalid reference format/.test(message) ? "rejected" : "failed";
}

/** Classifies a failed pull: its text tells more than its status, which is mostly 2. */
export function classifyPull({ status, message }: GrpcFailure, reference: string): FailureVerdict {
  const verdict = textVerdict(message, reference);
  return { ...verdict, kind: verdict.kind ?? classifyCall({ status, message }) };
}
