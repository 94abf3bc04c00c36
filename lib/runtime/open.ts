// Which runtime a config names: the only switch over runtimes.

import { DockerRuntime } from "./docker/client.ts";
import type { Runtime } from "./runtime.ts";

/** What of a config tells the runtime. */
export interface RuntimeSettings {
  readonly docker: { readonly socket: string };
  readonly repair: {
    /** Seconds without progress after which a pull is given up. */
    readonly noProgressSeconds: number;
  };
}

/** Makes the runtime of a config. It connects to nothing. */
export function openRuntime({ docker, repair }: RuntimeSettings): Runtime {
  return new DockerRuntime({ socket: docker.socket, noProgressMs: 1000 * repair.noProgressSeconds });
}
