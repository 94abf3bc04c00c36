// Watches a real kubelet for the first report that a pod's image cannot be pulled.

import { delay } from "@std/async/delay";
import type { RealKubelet } from "../e2e/kubelet.ts";
import { waitingReason } from "../e2e/pod_state.ts";
import { wallClock } from "./starts.ts";

/** Pause between two requests; the kubelet takes a few milliseconds to answer. */
const GAP_MS = 20;
const FAILED = new Set(["ErrImagePull", "ImagePullBackOff"]);

/** Called once for each failing pod, with its full name. */
export type OnFailure = (pod: string) => void;

/** A watch over a kubelet's pods. Times are milliseconds since the epoch. */
export class FailureWatch {
  /** Full name of a pod -> time of the last request whose answer did not yet show the failure. */
  readonly reportedAfter = new Map<string, number>();
  readonly #end = new AbortController();
  readonly #watching: Promise<void>;

  constructor(kubelet: RealKubelet, onFailure: OnFailure = () => {}) {
    this.#watching = this.#watch(kubelet, onFailure);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#watching;
  }

  async #watch(kubelet: RealKubelet, onFailure: OnFailure): Promise<void> {
    let before = wallClock();
    while (!this.#end.signal.aborted) {
      const asked = wallClock();
      for (const pod of await kubelet.pods()) {
        const name = pod.metadata?.name ?? "";
        if (this.reportedAfter.has(name) || !FAILED.has(waitingReason(pod, "app") ?? "")) continue;
        this.reportedAfter.set(name, before);
        onFailure(name);
      }
      before = asked;
      await delay(GAP_MS);
    }
  }
}
