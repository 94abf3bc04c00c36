// The kinds of failures of a runtime call. Pure.

import { REGISTRY_FAILURES, type RegistryError } from "../images/registry.ts";
import { describeError } from "../support/errors.ts";
import type { Silence } from "./advice.ts";

/**
 * Why a runtime call failed, as far as the answer shows: a registry's failure, or
 *
 * - `unreachable`: the runtime itself did not answer (socket missing, connection refused, closed
 *   mid-answer, deadline);
 * - `rejected`: the request is malformed according to the runtime (usually 4xx);
 * - `cannot-unpack`: the runtime has a layer with the right digest, and cannot unpack it;
 * - `disk-full`: it has no space left for the image;
 * - `failed`: anything else, including a refusal by a plugin of the runtime.
 *
 * `not-found` also means a name that the runtime's own store does not have.
 */
export const RUNTIME_ERROR_KINDS = [
  "unreachable",
  ...REGISTRY_FAILURES,
  "rejected",
  "cannot-unpack",
  "disk-full",
  "failed",
] as const;

/** See RUNTIME_ERROR_KINDS. */
export type RuntimeErrorKind = typeof RUNTIME_ERROR_KINDS[number];

/** Thrown when a runtime call fails. The message says what was attempted, on what, and why. */
export class RuntimeError extends Error implements RegistryError {
  override name = "RuntimeError";
  readonly kind: RuntimeErrorKind;
  readonly retryAfterSeconds: number | undefined;
  /** Set if the runtime does not answer at all, as opposed to a failure of this call alone. */
  readonly silence: Silence | undefined;
  /** The text in full, if the message has it in brief. */
  readonly whole: string | undefined;

  constructor(
    kind: RuntimeErrorKind,
    message: string,
    options: {
      readonly cause?: unknown;
      readonly retryAfterSeconds?: number | undefined;
      readonly silence?: Silence | undefined;
      readonly whole?: string | undefined;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.silence = options.silence;
    this.whole = options.whole === message ? undefined : options.whole;
  }
}

/**
 * Returns the error with its whole text, causes included, as `scrub` leaves it; the error itself if
 * that changes nothing, or if it is not a RuntimeError.
 */
export function scrubbedError<Thrown>(error: Thrown, scrub: (text: string) => string): Thrown | RuntimeError {
  if (!(error instanceof RuntimeError)) return error;
  const said = describeError(error);
  const message = scrub(said);
  const { kind, retryAfterSeconds, silence } = error;
  return message === said ? error : new RuntimeError(kind, message, { retryAfterSeconds, silence });
}
