// A runtime with limits on concurrent calls: three hundred broken images must not open three
// hundred connections.

import { Semaphore } from "../support/semaphore.ts";
import type { Runtime } from "./runtime.ts";

/** Limits on concurrent calls of a runtime. */
export interface RuntimeLimits {
  /** Calls of `inspect` and `tag`. */
  readonly calls: number;
  /** Calls of `resolve`, limited separately: a silent registry must not delay other calls. */
  readonly resolves: number;
}

/** Returns the runtime with these limits. Pulls have their own limits, see lib/mirrors/pool.ts. */
export function boundedRuntime(runtime: Runtime, limits: RuntimeLimits): Runtime {
  const calls = new Semaphore(limits.calls);
  const resolves = new Semaphore(limits.resolves);
  const resolve = runtime.resolve?.bind(runtime);
  return {
    advice: runtime.advice,
    info: (signal) => runtime.info(signal),
    inspect: (reference, signal) => calls.with(signal, () => runtime.inspect(reference, signal)),
    resolve: resolve && ((reference, options) => resolves.with(options.signal, () => resolve(reference, options))),
    pull: (reference, options) => runtime.pull(reference, options),
    tag: (source, target, signal) => calls.with(signal, () => runtime.tag(source, target, signal)),
    events: (options) => runtime.events(options),
    close: () => runtime.close(),
  };
}
