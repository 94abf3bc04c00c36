// A runtime with a meter on it: every call goes through unchanged, and the meter hears what it took and why it failed.

import { type Runtime, RuntimeError, type RuntimeErrorKind } from "./runtime.ts";

/** Hears of pulls and of calls that failed. What our own stop ended is neither. */
export interface RuntimeMeter {
  /** A pull brought its image: seconds it took, bytes it downloaded. */
  pulled(seconds: number, bytes: number): void;
  pullFailed(seconds: number): void;
  /** A call of any kind failed, pulls included. */
  callFailed(kind: RuntimeErrorKind): void;
}

/** The same runtime to whoever uses it. `now` is in milliseconds. */
export function measuredRuntime(runtime: Runtime, meter: RuntimeMeter, now: () => number): Runtime {
  const heard = async <Answer>(call: Promise<Answer>): Promise<Answer> => {
    try {
      return await call;
    } catch (error) {
      if (error instanceof RuntimeError) meter.callFailed(error.kind);
      throw error;
    }
  };
  return {
    info: (signal) => heard(runtime.info(signal)),
    inspect: (reference, signal) => heard(runtime.inspect(reference, signal)),
    lookUp: (reference, options) => heard(runtime.lookUp(reference, options)),
    async pull(reference, options) {
      const start = now();
      const seconds = () => (now() - start) / 1000;
      try {
        const pulled = await heard(runtime.pull(reference, options));
        meter.pulled(seconds(), pulled.bytes);
        return pulled;
      } catch (error) {
        if (error instanceof RuntimeError) meter.pullFailed(seconds());
        throw error;
      }
    },
    tag: (source, target, signal) => heard(runtime.tag(source, target, signal)),
    events: (options) => heard(runtime.events(options)),
    close: () => runtime.close(),
  };
}
