// Which mirror is being asked for which image: stands between a repair and whoever listens to it, and remembers.

import type { Candidate } from "../images/rules.ts";
import type { Attempt } from "../plan/outcome.ts";
import type { Target } from "../plan/plan.ts";
import type { RepairListener } from "./repair.ts";

/** Hands everything on to another listener. */
export class AskedMirrors implements RepairListener {
  readonly #mirrors = new Map<string, string>();
  readonly #listener: RepairListener;
  /** There only when somebody listens: without, the runtime need not add it up. */
  readonly progress?: NonNullable<RepairListener["progress"]>;

  constructor(listener: RepairListener) {
    this.#listener = listener;
    if (listener.progress) this.progress = (...heard) => listener.progress?.(...heard);
  }

  /** The mirror that was asked last for the image of this name in its latest repair. */
  of(name: string): string | undefined {
    return this.#mirrors.get(name);
  }

  started(target: Target): void {
    this.#mirrors.delete(target.name);
    this.#listener.started(target);
  }

  pulling(target: Target, candidate: Candidate): void {
    this.#mirrors.set(target.name, candidate.mirror);
    this.#listener.pulling(target, candidate);
  }

  candidateFailed(target: Target, attempt: Attempt): void {
    this.#mirrors.delete(target.name);
    this.#listener.candidateFailed(target, attempt);
  }

  tagged(target: Target, candidate: Candidate, name: string): void {
    this.#mirrors.delete(target.name);
    this.#listener.tagged(target, candidate, name);
  }
}
