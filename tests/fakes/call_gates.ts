// Holds single calls to a fake: before the call is handled, or after it is handled and before the
// answer is sent.

/** A call that is held until released. */
export interface Gate {
  /** Resolves when a call has reached the gate. */
  readonly reached: Promise<void>;
  release(): void;
}

/** `before`: the call is not yet handled; `after`: it is handled, but not yet answered. */
export type GateSide = "before" | "after";

/** The gates of one fake: for calls, or for what else reaches a point of its own. */
export class CallGates<Call, Side extends string = GateSide> {
  readonly #gates = new Set<{
    readonly side: Side;
    readonly matches: (call: Call) => boolean;
    readonly reached: () => void;
    readonly open: Promise<void>;
  }>();

  /** Holds every call that `matches` accepts, on that side, until released. */
  hold(side: Side, matches: (call: Call) => boolean): Gate {
    const reached = Promise.withResolvers<void>();
    const open = Promise.withResolvers<void>();
    const gate = { side, matches, reached: reached.resolve, open: open.promise };
    this.#gates.add(gate);
    const release = () => {
      this.#gates.delete(gate);
      open.resolve();
    };
    return { reached: reached.promise, release };
  }

  /** Waits while the call is held on that side; rejects when `left` is aborted. */
  async pass(side: Side, call: Call, left: AbortSignal): Promise<void> {
    for (const gate of [...this.#gates]) {
      if (gate.side !== side || !gate.matches(call)) continue;
      gate.reached();
      left.throwIfAborted();
      const gone = Promise.withResolvers<never>();
      const leave = () => gone.reject(left.reason);
      left.addEventListener("abort", leave, { once: true });
      await Promise.race([gate.open, gone.promise]).finally(() => left.removeEventListener("abort", leave));
    }
  }
}
