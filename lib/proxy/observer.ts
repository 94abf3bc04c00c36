// Notifications of the registry proxy, for its log, its ledger and its state. Types only.

import type { Candidate } from "../images/rules.ts";
import type { MirrorObserver } from "../mirrors/mirrors.ts";
import type { CandidateAttempt, UnrepairableReason } from "../plan/outcome.ts";
import type { Target } from "../plan/plan.ts";

/** An image that a runtime has pulled through the proxy. */
export interface ServedPull {
  /** The image as requested, by tag if the runtime resolved one. */
  readonly target: Target;
  /** The candidate that had its manifest. */
  readonly candidate: Candidate;
  readonly digest: string;
  /** Bytes of blobs; what the runtime already had is not among them. */
  readonly bytes: number;
  /** How often another mirror continued a blob. */
  readonly resumed: number;
  /** From the first request to the end of the last. */
  readonly seconds: number;
}

/** An image that was not served. */
export interface NotServed {
  /** Its name as requested. */
  readonly image: string;
  /** The candidates that were tried; none if the rules or an exclusion refuse the image. */
  readonly attempts: readonly CandidateAttempt[];
  readonly reason: UnrepairableReason | undefined;
  /** What failed, or what a person can do about it. */
  readonly message: string;
}

/**
 * Each notification is a method; an observer implements those that it needs. They return
 * immediately and never throw.
 */
export interface ProxyObserver extends MirrorObserver {
  /** A runtime requested the manifest of an image, and this candidate has it. */
  serving?(target: Target, candidate: Candidate): void;
  candidateFailed?(target: Target, attempt: CandidateAttempt): void;
  /** A mirror stopped within a blob, and another one continues at this byte. */
  resumed?(target: Target, candidate: Candidate, at: number): void;
  served?(pull: ServedPull): void;
  notServed?(image: NotServed): void;
  /** A served image differs from what the ledger suggests; `message` is a sentence on why. */
  anomalyFound?(message: string): void;
  /** An unexpected error ended a request; the proxy continues. */
  unexpected?(error: unknown): void;

  ledgerFailed?(error: unknown): void;
  /** A config was read again; `mistakes` is set if it was refused and the old one stays. */
  reloaded?(file: string, mistakes?: string): void;
  /** A renewed certificate is in use, or cannot be used. */
  certificateReplaced?(file: string): void;
  certificateFailed?(error: unknown): void;
}
