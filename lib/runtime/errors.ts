// How a call of a runtime fails, in one list of kinds. Pure.

import { REGISTRY_FAILURES, type RegistryError } from "../images/registry.ts";
import type { Silence } from "./advice.ts";

/**
 * Why a runtime call failed, as far as the answer tells: for a registry's reason, or
 *
 * - `unreachable`: the runtime itself did not answer (socket missing, refused, closed mid-answer, deadline);
 * - `rejected`: the runtime called the request malformed (4xx);
 * - `failed`: anything else, disk full and corrupt blobs among them.
 *
 * `not-found` is also what the runtime says of a name that its own store does not have.
 */
export const RUNTIME_ERROR_KINDS = ["unreachable", ...REGISTRY_FAILURES, "rejected", "failed"] as const;

/** See RUNTIME_ERROR_KINDS. */
export type RuntimeErrorKind = typeof RUNTIME_ERROR_KINDS[number];

/** A runtime call that failed: what was attempted, on what, and why. */
export class RuntimeError extends Error implements RegistryError {
  override name = "RuntimeError";
  readonly kind: RuntimeErrorKind;
  readonly retryAfterSeconds: number | undefined;
  /** Set when not this call alone failed, but the runtime does not answer. */
  readonly silence: Silence | undefined;

  constructor(
    kind: RuntimeErrorKind,
    message: string,
    options: {
      readonly cause?: unknown;
      readonly retryAfterSeconds?: number | undefined;
      readonly silence?: Silence | undefined;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.silence = options.silence;
  }
}
