// The daemon as `gilly run` wires it, but without a pause between passes. Prints what it holds as a
// line of JSON at its start, every so many passes, and at its end.
//   subject.ts CONFIG STATE-FILE PASSES-BETWEEN-LINES

import { delay } from "@std/async/delay";
import { openNode, openProcess } from "../../lib/app.ts";
import { startLog } from "../../lib/commands/flags.ts";
import { type Config, loadConfig } from "../../lib/config/config.ts";
import { Daemon } from "../../lib/daemon/daemon.ts";
import type { NodeContext } from "../../lib/pass.ts";
import { StateFile } from "../../lib/status/state_file.ts";

/** What the process holds after so many passes. Sizes are bytes. */
export interface Holding {
  readonly passes: number;
  readonly repaired: number;
  readonly failed: number;
  /** Used heap after a full collection. */
  readonly heap: number;
  readonly rss: number;
  /** Open file descriptors, and how many of those are sockets. */
  readonly descriptors: number;
  readonly sockets: number;
}

/** The daemon reloads its config every so many passes. */
const PASSES_BETWEEN_RELOADS = 700;

/** Time after the end of the daemon for closed connections to go away. */
const SETTLING_MS = 2000;

declare function gc(): void;

async function main([configFile, stateFilePath, between]: readonly string[]): Promise<void> {
  const every = Number(between);
  const stop = new AbortController();
  const process = openProcess(await loadConfig(configFile!), { signal: stop.signal });
  let passes = 0;
  const tell = () => {
    gc();
    const { heapUsed, rss } = Deno.memoryUsage();
    const { repaired, failed } = process.repairs;
    console.log(
      JSON.stringify({ passes, repaired, failed, heap: heapUsed, rss, ...openDescriptors() } satisfies Holding),
    );
  };
  void endWithParent();
  // The first listener opens a pair of sockets that stay open until the process ends.
  Deno.addSignalListener("SIGTERM", () => stop.abort(new DOMException("stopped by a signal", "AbortError")));
  tell();
  let node: NodeContext<Config> | undefined;
  const inForce = async (): Promise<NodeContext<Config>> => {
    const config = await loadConfig(configFile!);
    startLog(config);
    node = await openNode(config, process, { before: node });
    return withoutPauses(node, () => {
      passes++;
      if (passes % every === 0) tell();
      if (passes % PASSES_BETWEEN_RELOADS === 0) daemon.askReload();
    });
  };
  const stateFile = new StateFile(stateFilePath!, (error) => process.observer.unexpected?.(error));
  const daemon = new Daemon({
    process,
    node: await inForce(),
    serviceManager: { send: () => Promise.resolve() },
    reload: async () => ({ result: "reloaded", node: await inForce() }),
    identity: { gilly: "soak", pid: Deno.pid, startedAt: process.clock.now() },
    stateFile,
    signal: stop.signal,
  });
  process.observe(daemon);
  await daemon.run();
  await stateFile.close();
  // A closed connection takes a moment to go away.
  await delay(SETTLING_MS);
  tell();
  Deno.exit(0);
}

/** Exits when the parent is gone: it holds the other end of standard input, and never writes. */
async function endWithParent(): Promise<void> {
  if (await Deno.stdin.read(new Uint8Array(1)) === null) Deno.exit(1);
}

function withoutPauses(node: NodeContext<Config>, passBegins: () => void): NodeContext<Config> {
  const { kubelet, config } = node;
  return {
    ...node,
    config: { ...config, poll: { intervalSeconds: 0, safetySeconds: 0, jitter: 0 } },
    kubelet: {
      host: kubelet.host,
      pods(signal) {
        passBegins();
        return kubelet.pods(signal);
      },
    },
  };
}

function openDescriptors(): { descriptors: number; sockets: number } {
  let [descriptors, sockets] = [0, 0];
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    let target = "";
    try {
      target = Deno.readLinkSync(`/proc/self/fd/${name}`);
    } catch {
      // It was the descriptor of the folder itself, which is closed by now.
      continue;
    }
    descriptors++;
    if (target.startsWith("socket:")) sockets++;
  }
  return { descriptors, sockets };
}

if (import.meta.main) await main(Deno.args);
