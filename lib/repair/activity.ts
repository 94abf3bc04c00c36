// The observer that knows what is being done right now: which mirror is asked for which image.

import type { Candidate } from "../images/rules.ts";
import type { Target } from "../plan/plan.ts";
import type { Observer } from "./observer.ts";

/** The repairs under way, by the names that the kubelet looks up. */
export class Activity implements Observer {
  readonly #mirrors = new Map<string, string>();

  /** The mirror that is being asked for the image of this name; undefined while none is. */
  mirrorFor(name: string): string | undefined {
    return this.#mirrors.get(name);
  }

  pulling({ name }: Target, { mirror }: Candidate): void {
    this.#mirrors.set(name, mirror);
  }

  candidateFailed({ name }: Target): void {
    this.#mirrors.delete(name);
  }

  /** However it ended. */
  ended(name: string): void {
    this.#mirrors.delete(name);
  }
}
