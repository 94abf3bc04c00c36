// Selects the runtime that a config names. No other file does.

import { DockerRuntime } from "./docker/client.ts";
import type { Runtime } from "./runtime.ts";

/** The part of the config that determines the runtime. */
export interface RuntimeSettings {
  readonly docker: { readonly socket: string };
  readonly repair: {
    /** Seconds without progress after which a pull is given up. */
    readonly noProgressSeconds: number;
  };
}

/** Makes the runtime of a config. Connects to nothing. */
export function openRuntime({ docker, repair }: RuntimeSettings): Runtime {
  return new DockerRuntime({ socket: docker.socket, noProgressMs: 1000 * repair.noProgressSeconds });
}
