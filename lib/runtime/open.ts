// Selects the runtime that a config names. No other file does.

import { DockerRuntime } from "./docker/client.ts";
import type { Runtime } from "./runtime.ts";

/** A runtime that a config can name. */
export type RuntimeKind = "docker" | "containerd";

/** The part of the config that determines the runtime. */
export interface RuntimeSettings {
  /** Absolute path of the Unix socket on which the runtime listens. */
  readonly runtime: { readonly kind: RuntimeKind; readonly socket: string };
  readonly repair: {
    /** Seconds without progress after which a pull is given up. */
    readonly noProgressSeconds: number;
  };
}

/** Makes the runtime of a config. Connects to nothing. */
export async function openRuntime({ runtime: { kind, socket }, repair }: RuntimeSettings): Promise<Runtime> {
  const options = { socket, noProgressMs: 1000 * repair.noProgressSeconds };
  if (kind === "docker") return new DockerRuntime(options);
  // Loaded only where it is used: with its messages it takes several megabytes of memory.
  const { ContainerdRuntime } = await import("./containerd/client.ts");
  return new ContainerdRuntime(options);
}
