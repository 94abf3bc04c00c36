// The observer that tracks current pulls: which image is being pulled from which mirror.

import type { Candidate } from "../images/rules.ts";
import type { Target } from "../plan/plan.ts";
import type { Observer } from "./observer.ts";

/** The mirrors being pulled from, by the names that the kubelet looks up. */
export class Activity implements Observer {
  readonly #mirrors = new Map<string, string>();

  /** Returns the mirror that the image of this name is being pulled from, or undefined if none. */
  mirrorFor(name: string): string | undefined {
    return this.#mirrors.get(name);
  }

  pulling({ name }: Target, { mirror }: Candidate): void {
    this.#mirrors.set(name, mirror);
  }

  candidateFailed({ name }: Target): void {
    this.#mirrors.delete(name);
  }

  ended(name: string): void {
    this.#mirrors.delete(name);
  }
}
