// A mirror that holds every blob until it is released: the hook point of a pull in progress.

import { type FaultyRegistry, startFaultyRegistry } from "../e2e/faulty_registry.ts";

/** A mirror whose blobs are held. */
export interface HeldMirror extends AsyncDisposable {
  readonly host: string;
  /** Resolves when a blob has been requested. */
  readonly reached: Promise<void>;
  /** Lets everything through from now on. */
  release(): void;
}

/** Starts it in front of the registry at `target`, `127.0.0.1:PORT`. */
export function holdBlobsOf(target: string): HeldMirror {
  const reached = Promise.withResolvers<void>();
  const open = Promise.withResolvers<void>();
  const proxy: FaultyRegistry = startFaultyRegistry(target, async ({ url, method }, forward) => {
    if (url.includes("/blobs/") && method === "GET") {
      reached.resolve();
      await open.promise;
    }
    return await forward();
  });
  const release = () => {
    proxy.fault = undefined;
    open.resolve();
  };
  return {
    host: proxy.host,
    reached: reached.promise,
    release,
    async [Symbol.asyncDispose]() {
      release();
      await proxy.stop();
    },
  };
}
