// A journal that also counts: what is put into words for people becomes numbers for Prometheus, where those are wanted.

import { KubeletError } from "../kubelet/client.ts";
import { Journal, type Say } from "../log/messages.ts";
import type { Metrics } from "./metrics.ts";

/** What an override hears. */
type Heard<Name extends keyof Journal> = Parameters<Journal[Name]>;

/** Says everything that a Journal says, and tells the metrics, if there are any at that moment. */
export class CountingJournal extends Journal {
  readonly #desk: { readonly metrics: Metrics | undefined };

  constructor(say: Say, now: () => number, desk: { readonly metrics: Metrics | undefined }) {
    super(say, now);
    this.#desk = desk;
  }

  override passed(...heard: Heard<"passed">): void {
    super.passed(...heard);
    const [good, seconds] = heard;
    this.#desk.metrics?.passed(good, seconds);
  }

  override kubeletFailed(...heard: Heard<"kubeletFailed">): void {
    super.kubeletFailed(...heard);
    const [error] = heard;
    if (error instanceof KubeletError) this.#desk.metrics?.kubeletFailed(error.kind);
  }

  override candidateFailed(...heard: Heard<"candidateFailed">): void {
    super.candidateFailed(...heard);
    const [, { candidate, failure }] = heard;
    if (failure !== "resting") this.#desk.metrics?.mirrorAnswered(candidate.mirror, failure);
  }

  override tagged(...heard: Heard<"tagged">): void {
    super.tagged(...heard);
    const [, candidate] = heard;
    this.#desk.metrics?.mirrorAnswered(candidate.mirror, "delivered");
  }

  override finished(...heard: Heard<"finished">): void {
    super.finished(...heard);
    const [, outcome] = heard;
    this.#desk.metrics?.repairEnded(outcome);
  }

  override ledgerFailed(...heard: Heard<"ledgerFailed">): void {
    super.ledgerFailed(...heard);
    this.#desk.metrics?.ledgerFailed();
  }
}
