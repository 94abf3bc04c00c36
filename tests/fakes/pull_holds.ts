// Holds the pulls of a fake runtime at points of their own.

/**
 * Where a pull can be held: before the registry answers, before the layers, or before the image is
 * complete.
 */
export type HoldPoint = "headers" | "layers" | "end";

/** Holds pulls at a point until released. */
export interface Hold {
  /** Resolves when a pull has reached the point. */
  readonly reached: Promise<void>;
  release(): void;
}

/** The holds of one runtime. */
export class PullHolds {
  readonly #holds = new Set<
    { at: HoldPoint; reference: string | undefined; reached: () => void; gate: Promise<void> }
  >();

  /** Holds the pulls of `reference`, or of every image without one, at a point until released. */
  hold(at: HoldPoint, reference?: string): Hold {
    const reached = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const entry = { at, reference, reached: reached.resolve, gate: gate.promise };
    this.#holds.add(entry);
    const release = () => {
      this.#holds.delete(entry);
      gate.resolve();
    };
    return { reached: reached.promise, release };
  }

  /** Waits while the pull is held there; rejects when `left` is aborted. */
  async pass(at: HoldPoint, reference: string, left: AbortSignal): Promise<void> {
    for (const hold of [...this.#holds]) {
      if (hold.at !== at || (hold.reference !== undefined && hold.reference !== reference)) continue;
      hold.reached();
      await Promise.race([hold.gate, aborted(left)]);
    }
  }
}

/** Rejects when the client leaves or the runtime stops. */
export function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
}
