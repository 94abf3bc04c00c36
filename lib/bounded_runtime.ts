// A runtime that is asked only so much at once: three hundred broken images must not be three hundred connections.

import { Places } from "./places.ts";
import type { Runtime } from "./runtime/runtime.ts";

/** The same runtime with at most `limit` looks and tags at once. Pulls have limits of their own, see mirror_desk.ts. */
export function boundedRuntime(runtime: Runtime, limit: number): Runtime {
  const places = new Places(limit);
  return {
    info: (signal) => runtime.info(signal),
    inspect: (reference, signal) => places.with(signal, () => runtime.inspect(reference, signal)),
    lookUp: (reference, options) => places.with(options.signal, () => runtime.lookUp(reference, options)),
    pull: (reference, options) => runtime.pull(reference, options),
    tag: (source, target, signal) => places.with(signal, () => runtime.tag(source, target, signal)),
    events: (options) => runtime.events(options),
    close: () => runtime.close(),
  };
}
