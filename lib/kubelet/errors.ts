// The reasons why the kubelet returned no pods, as one list of kinds. Pure.

/**
 * Why the kubelet returned no pods.
 *
 * - `credentials`: our own files cannot be read or used;
 * - `unreachable`: no connection, TLS refused, or no complete answer in time;
 * - `unauthorized`, `forbidden`: 401, 403;
 * - `unexpected`: another status, or an answer that is not a list of pods.
 */
export const KUBELET_ERROR_KINDS = ["credentials", "unreachable", "unauthorized", "forbidden", "unexpected"] as const;

/** See KUBELET_ERROR_KINDS. */
export type KubeletErrorKind = typeof KUBELET_ERROR_KINDS[number];

/** A failed request for the pods: what was requested, from where, and why it failed. */
export class KubeletError extends Error {
  override name = "KubeletError";
  constructor(readonly kind: KubeletErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
  }
}
