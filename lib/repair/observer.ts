// Notifications of what Gilly does, for the log, the metrics, the ledger, the state that `status`
// shows, and the screen of `gilly pull`. No decision depends on an observer.

import type { Candidate } from "../images/rules.ts";
import type { Failure } from "../kubelet/failures.ts";
import type { PodList } from "../kubelet/pods.ts";
import type { MirrorObserver } from "../mirrors/mirrors.ts";
import type { CandidateAttempt, Outcome } from "../plan/outcome.ts";
import type { Plan, Refusal, Repair, Target } from "../plan/plan.ts";
import type { RuntimeName } from "../runtime/advice.ts";
import type { PullProgress, RuntimeObserver } from "../runtime/runtime.ts";

/** How a repair ended. */
export interface RepairEnd {
  readonly repair: Repair;
  readonly outcome: Outcome;
  /** The outcome of the previous try, if it is remembered. */
  readonly before?: Outcome | undefined;
  readonly seconds: number;
  /** The time until the earliest retry; undefined if there is none. */
  readonly nextTrySeconds?: number | undefined;
}

/**
 * Each notification is a method; an observer implements those that it needs. They return
 * immediately and never throw.
 */
export interface Observer extends RuntimeObserver, MirrorObserver {
  /** The kubelet at `host` (its URL without the path) answered. */
  connected?(host: string): void;
  /** The kubelet returned no pods, and the pass was skipped. */
  kubeletFailed?(error: unknown): void;
  /** What a pass saw and plans, before anything is changed. */
  looked?(list: PodList, failures: readonly Failure[], plan: Plan): void;
  /** A pass ended; `good` if the kubelet returned its pods. */
  passed?(good: boolean, seconds: number): void;
  /** An unexpected error ended a pass or a repair; the daemon continues. */
  unexpected?(error: unknown): void;

  /** A repair found its image missing and begins. */
  started?(target: Target): void;
  pulling?(target: Target, candidate: Candidate): void;
  progress?(target: Target, candidate: Candidate, progress: PullProgress): void;
  candidateFailed?(target: Target, attempt: CandidateAttempt): void;
  tagged?(target: Target, candidate: Candidate, name: string): void;
  /** A pulled image differs from what the ledger suggests; `message` is a sentence on why. */
  anomalyFound?(message: string): void;
  /** A repair has its outcome, and the time of the next try is known. */
  finished?(end: RepairEnd): void;
  /** The repair of this name is no longer under way, whatever its outcome. */
  ended?(name: string): void;

  /** An image of the `keep` list cannot be repaired. */
  cannotKeep?(image: string, refusal: Refusal): void;
  cannotLookAfterKept?(images: readonly string[], error: unknown): void;

  /** The kubelet's runtime, whose ids of containers begin with `scheme`, is not the configured one. */
  otherRuntime?(scheme: string, configured: RuntimeName): void;
  /** The runtime reports its events from now on. */
  eventsArrive?(runtime: RuntimeName): void;
  /** The event stream broke; `wasOpen` says whether events may have been missed. */
  eventsBroke?(error: unknown, wasOpen: boolean): void;

  ledgerFailed?(error: unknown): void;
  /** A config was read again; `mistakes`, one a line, is set if it was refused and the old one stays. */
  reloaded?(file: string, mistakes?: string): void;
}

/**
 * Returns an observer that forwards each notification to all observers on the list, including those
 * added later. It has only the methods that at least one of them has.
 */
export function tellAll<News extends object = Observer>(observers: readonly News[]): News {
  return new Proxy<News>({} as News, {
    get(_, news) {
      const hearers = observers.flatMap((observer) => {
        const method: unknown = Reflect.get(observer, news);
        return typeof method === "function" ? [{ observer, method }] : [];
      });
      if (hearers.length === 0) return undefined;
      return (...facts: unknown[]) => {
        for (const { observer, method } of hearers) Reflect.apply(method, observer, facts);
      };
    },
  });
}
