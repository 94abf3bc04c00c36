// The compiled daemon as a measured process, started by a fake service manager.

import { GILLY } from "../support/requirements.ts";
import { type FixedKubelet, startServiceManager, writeConfig } from "./stand_ins.ts";

/** A daemon that has sent READY=1. */
export interface MeasuredDaemon extends AsyncDisposable {
  readonly pid: number;
  readonly millisecondsToReady: number;
  /** Returns the number of messages that it has sent to its service manager. */
  readonly messages: () => number;
}

/**
 * Starts `gilly run` in `dir` for that kubelet and Engine; `config` is added to its config file.
 */
export async function startDaemon(
  dir: string,
  kubelet: Pick<FixedKubelet, "url" | "authorityPem">,
  socket: string,
  config: Record<string, unknown>,
): Promise<MeasuredDaemon> {
  const file = await writeConfig(dir, kubelet, socket, { registries: { "gcr.io": "mirror.example" }, ...config });
  const manager = startServiceManager(dir);
  const before = performance.now();
  const child = new Deno.Command(GILLY, {
    args: ["run", "--config", file],
    env: manager.env,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const ended = child.status.then(({ code }) => {
    throw new Error(`gilly ended with exit code ${code}`);
  });
  ended.catch(() => {});
  try {
    const ready = await Promise.race([manager.ready, ended]);
    return {
      pid: child.pid,
      millisecondsToReady: ready - before,
      messages: () => manager.messages,
      async [Symbol.asyncDispose]() {
        child.kill("SIGTERM");
        await child.status;
        manager[Symbol.dispose]();
      },
    };
  } catch (error) {
    manager[Symbol.dispose]();
    throw error;
  }
}
