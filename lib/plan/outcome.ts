// The fixed vocabulary of results: the outcome of a repair, why something cannot be repaired, and
// what to do about it.

import type { Candidate } from "../images/rules.ts";
import { RUNTIME_ERROR_KINDS } from "../runtime/errors.ts";

/**
 * Reasons that only a person can resolve once candidates were tried. Retries continue at ever
 * longer intervals.
 */
export const FINAL_REASONS = ["not-in-mirror", "denied", "digest-on-classic-store"] as const;

/** See FINAL_REASONS. */
export type FinalReason = typeof FINAL_REASONS[number];

/** Why a container is left as it is. Each has a next step for the operator, see adviceOn. */
export const UNREPAIRABLE_REASONS = [
  "policy-always",
  "invalid-reference",
  "no-rule",
  "excluded",
  ...FINAL_REASONS,
] as const;

/** See UNREPAIRABLE_REASONS. */
export type UnrepairableReason = typeof UNREPAIRABLE_REASONS[number];

/**
 * Why a candidate that was requested did not deliver: the kinds of RuntimeError, and what Gilly
 * itself found.
 */
export const PULL_FAILURES = [...RUNTIME_ERROR_KINDS, "wrong-image", "digest-changed"] as const;

/** Why one candidate did not deliver; one whose mirror is cooling down was not requested. */
export type CandidateFailure = typeof PULL_FAILURES[number] | "cooling-down";

/** A candidate that was tried, or skipped because its mirror is cooling down, and the result. */
export interface CandidateAttempt {
  readonly candidate: Candidate;
  readonly failure: CandidateFailure;
  readonly message: string;
}

/** The image was pulled and now has its original name. */
export interface Repaired {
  readonly result: "repaired";
  readonly candidate: Candidate;
  /** The local name the image was given. */
  readonly tagged: string;
  /** Content address of the image in the runtime's store. */
  readonly id: string;
  /** The digest that the mirror served, if the runtime reported it. */
  readonly digest: string | undefined;
  readonly bytes: number;
  readonly attempts: readonly CandidateAttempt[];
}

/** The name already existed and was left alone. */
export interface AlreadyPresent {
  readonly result: "already-present";
  readonly id: string;
}

/** No candidate delivered. */
export interface Failed {
  readonly result: "failed";
  readonly reason: FinalReason | undefined;
  readonly message: string;
  readonly attempts: readonly CandidateAttempt[];
  /** The runtime itself does not answer: no mirror is at fault, and no image can be pulled. */
  readonly runtimeSilent?: boolean;
}

/** The outcome of one repair. */
export type Outcome = Repaired | AlreadyPresent | Failed;

/** The possible results of a repair. */
export const REPAIR_RESULTS = ["repaired", "already-present", "failed"] as const satisfies readonly Outcome["result"][];

/**
 * Summarizes failed attempts: as a fact about the image, as a fact about credentials, or as a
 * failure without a final reason.
 */
export function failedOutcome(attempts: readonly CandidateAttempt[]): Failed {
  const every = (failure: CandidateFailure) => attempts.length > 0 && attempts.every((it) => it.failure === failure);
  const final = (it: CandidateAttempt) => it.failure === "not-found" || it.failure === "denied";
  const reason = every("not-found")
    ? "not-in-mirror"
    : attempts.some((it) => it.failure === "denied") && attempts.every(final)
    ? "denied"
    : undefined;
  const told = attempts.map((it) => it.message).join("; ") || "no mirror can have an image of this name";
  const tried = attempts.map((it) => it.candidate.reference);
  const message = reason === undefined ? told : adviceOn(reason, reason === "not-in-mirror" ? pushIt(tried) : told);
  return { result: "failed", reason, message, attempts };
}

function pushIt(references: readonly string[]): string {
  return references.length === 1 ? `push it as ${references[0]}` : `push it to one of ${references.join(", ")}`;
}

/** What a person can do about a container that stays as it is, in one sentence. */
export function adviceOn(reason: UnrepairableReason, detail = ""): string {
  switch (reason) {
    case "policy-always":
      return "imagePullPolicy is Always, so the kubelet asks the original registry even if the image is here: " +
        `set imagePullPolicy: IfNotPresent${detail}, or install the registry proxy (install.sh --proxy)`;
    case "digest-on-classic-store":
      return "this node's image store cannot give a digest a second name: " +
        "use a tag, the containerd image store, or the registry proxy (install.sh --proxy)";
    case "invalid-reference":
      return `the kubelet itself cannot parse this name: fix the manifest${detail && ` (${detail})`}`;
    case "no-rule":
      return detail || "no rule maps this registry: add it under registries, then systemctl reload gilly";
    case "excluded":
      return detail || "excluded by configuration";
    case "not-in-mirror":
      return `no mirror has this image${detail && `: ${detail}`}`;
    case "denied":
      return `the mirror requires credentials, or rejected the configured ones${detail && `: ${detail}`}`;
  }
}
