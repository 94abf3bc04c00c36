// What happens while Gilly works, as news for whoever wants them: the log, the metrics, the ledger, the state that `status`
// shows, the screen of `gilly pull`. Nothing that is decided depends on an observer.

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
  /** What the try before this one came to, as long as it is remembered. */
  readonly before?: Outcome | undefined;
  readonly seconds: number;
  /** Until the image is tried again, at the earliest; undefined where nobody will. */
  readonly nextTrySeconds?: number | undefined;
}

/** Each news is a method; an observer has those that it has a use for. They return at once and never throw. */
export interface Observer extends RuntimeObserver, MirrorObserver {
  /** The kubelet at `host` (its URL without the path) answered. */
  connected?(host: string): void;
  /** The kubelet gave no pods, and the pass was skipped. */
  kubeletFailed?(error: unknown): void;
  /** What a pass saw and plans, before anything is touched. */
  looked?(list: PodList, failures: readonly Failure[], plan: Plan): void;
  /** A pass ended; `good` when the kubelet gave its pods. */
  passed?(good: boolean, seconds: number): void;
  /** Something went wrong that nobody foresaw; the pass or the repair is lost, the daemon is not. */
  unexpected?(error: unknown): void;

  /** A repair found its image missing, and sets to work. */
  started?(target: Target): void;
  pulling?(target: Target, candidate: Candidate): void;
  progress?(target: Target, candidate: Candidate, progress: PullProgress): void;
  candidateFailed?(target: Target, attempt: CandidateAttempt): void;
  tagged?(target: Target, candidate: Candidate, name: string): void;
  /** An image that was pulled is not what the ledger leads one to expect; the sentence says why. */
  anomalyFound?(message: string): void;
  /** A repair has its outcome, and when to try again is settled. */
  finished?(end: RepairEnd): void;
  /** The repair of this name is no longer under way, however it went. */
  ended?(name: string): void;

  /** An image of the `keep` list that the rules do not bring. */
  cannotKeep?(image: string, refusal: Refusal): void;
  cannotLookAfterKept?(images: readonly string[], error: unknown): void;

  /** The runtime tells its events from now on. */
  eventsArrive?(runtime: RuntimeName): void;
  /** `wasOpen` tells whether events can have been missed. */
  eventsBroke?(error: unknown, wasOpen: boolean): void;

  ledgerFailed?(error: unknown): void;
  /** A config was read again; `mistakes` when it was refused and the old one stays. */
  reloaded?(file: string, mistakes?: string): void;
}

/**
 * One observer that passes each news on to all on the list, those that join it later too. A news that none of them has a
 * use for is no method of it.
 */
export function tellAll(observers: readonly Observer[]): Observer {
  return new Proxy<Observer>({}, {
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
