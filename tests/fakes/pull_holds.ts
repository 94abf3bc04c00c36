// Holds the pulls of a fake runtime at points of their own.

import { CallGates, type Gate } from "./call_gates.ts";

/**
 * Where a pull can be held: before the registry answers, before the layers, or before the image is
 * complete.
 */
export type HoldPoint = "headers" | "layers" | "end";

/** The holds of one runtime. */
export class PullHolds {
  /** The calls are the references that are pulled. */
  readonly #gates = new CallGates<string, HoldPoint>();

  /** Holds the pulls of `reference`, or of every image without one, at a point until released. */
  hold(at: HoldPoint, reference?: string): Gate {
    return this.#gates.hold(at, (pulled) => reference === undefined || reference === pulled);
  }

  /** Waits while the pull is held there; rejects when `left` is aborted. */
  async pass(at: HoldPoint, reference: string, left: AbortSignal): Promise<void> {
    await this.#gates.pass(at, reference, left);
  }
}

/** Rejects when the client leaves or the runtime stops. */
export function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
}
