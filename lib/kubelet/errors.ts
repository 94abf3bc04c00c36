// Why the kubelet gave no pods, in one list of kinds. Pure.

/**
 * Why the kubelet gave no pods.
 *
 * - `credentials`: our own files cannot be read or used;
 * - `unreachable`: no connection, TLS refused, no complete answer in time;
 * - `unauthorized`, `forbidden`: 401, 403;
 * - `unexpected`: another status, or something that is no list of pods.
 */
export const KUBELET_ERROR_KINDS = ["credentials", "unreachable", "unauthorized", "forbidden", "unexpected"] as const;

/** See KUBELET_ERROR_KINDS. */
export type KubeletErrorKind = typeof KUBELET_ERROR_KINDS[number];

/** A request for the pods that failed: what was asked of whom, and why. */
export class KubeletError extends Error {
  override name = "KubeletError";
  constructor(readonly kind: KubeletErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
  }
}
