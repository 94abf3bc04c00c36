// A runtime that is asked only so much at once: three hundred broken images must not be three hundred connections.

import { Semaphore } from "../support/semaphore.ts";
import type { Runtime } from "./runtime.ts";

/** How much a runtime is asked at once. */
export interface RuntimeLimits {
  /** Looks into the store, and tags. */
  readonly calls: number;
  /** Looks at registries, apart from the others: a registry that is silent must not delay what needs none. */
  readonly resolves: number;
}

/** The same runtime within limits. Pulls have limits of their own, see lib/mirrors/pool.ts. */
export function boundedRuntime(runtime: Runtime, limits: RuntimeLimits): Runtime {
  const calls = new Semaphore(limits.calls);
  const resolves = new Semaphore(limits.resolves);
  return {
    advice: runtime.advice,
    info: (signal) => runtime.info(signal),
    inspect: (reference, signal) => calls.with(signal, () => runtime.inspect(reference, signal)),
    resolve: (reference, options) => resolves.with(options.signal, () => runtime.resolve(reference, options)),
    pull: (reference, options) => runtime.pull(reference, options),
    tag: (source, target, signal) => calls.with(signal, () => runtime.tag(source, target, signal)),
    events: (options) => runtime.events(options),
    close: () => runtime.close(),
  };
}
