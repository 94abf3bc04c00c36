// Holds single calls to a stand-in: before they are answered, or when all is done and only the answer is
// still owed. A hook point for every step of whoever calls.

/** A call that is held until released. */
export interface Gate {
  /** Resolves when a call has come to the gate. */
  readonly reached: Promise<void>;
  release(): void;
}

/** `before`: nothing was done yet; `after`: it was done, and the caller has not heard of it. */
export type GateSide = "before" | "after";

/** The gates of one stand-in. */
export class CallGates<Call> {
  readonly #gates = new Set<{
    readonly side: GateSide;
    readonly matches: (call: Call) => boolean;
    readonly reached: () => void;
    readonly open: Promise<void>;
  }>();

  /** Holds every call that `matches`, on that side, until released. */
  hold(side: GateSide, matches: (call: Call) => boolean): Gate {
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
  async pass(side: GateSide, call: Call, left: AbortSignal): Promise<void> {
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
