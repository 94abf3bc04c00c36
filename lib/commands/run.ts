// `gilly run`: the daemon, from a checked config to the signal that ends it.

import { makeMetricsExporter, openNode, openProcess } from "../app.ts";
import { type Config, ConfigError, loadConfig } from "../config/config.ts";
import { Daemon, type Reloaded } from "../daemon/daemon.ts";
import { certificateExpiries } from "../metrics/certificates.ts";
import { watchedProxy } from "../metrics/proxy_watch.ts";
import type { NodeContext } from "../pass.ts";
import { newsIn } from "../status/node_state.ts";
import { DEFAULT_RUNTIME_DIRECTORY, proxyStateFile } from "../status/state_file.ts";
import { EXIT } from "../support/errors.ts";
import { VERSION } from "../version.ts";
import type { Command } from "./command_line.ts";
import { openOutlets, ShutdownSignal } from "./environment.ts";
import { CONFIG_FLAG, configFileOf, loadConfigAndLog, startLog } from "./flags.ts";

export const runCommand: Command = {
  name: "run",
  summary: "the daemon: repair this node's pods until stopped",
  description: [
    "Asks the kubelet for its pods when Docker or containerd reports a start, and at",
    "least once a minute. It pulls through a mirror what cannot be pulled from its",
    "registry, and tags it with the name that the pod asked for. While the runtime's",
    "events do not arrive, it asks every few seconds (poll.interval). SIGHUP reloads",
    "the config; a config with a mistake is refused, and the old one stays in force.",
    "SIGTERM and SIGINT stop the daemon.",
  ].join("\n"),
  example: "gilly run --config /etc/gilly/config.yaml",
  flags: [CONFIG_FLAG],
  async run(args) {
    // SIGHUP is handled from the start: a reload requested before the daemon exists must not end
    // the process.
    let reload = () => {};
    using stop = new ShutdownSignal(() => reload());
    const config = await loadConfigAndLog(args);
    const process = openProcess(config, { signal: stop.signal });
    const metrics = makeMetricsExporter(process);
    const { notifier, stateFile, stateFilePath } = openOutlets("daemon", DEFAULT_RUNTIME_DIRECTORY, newsIn);
    let node: NodeContext<Config> | undefined;
    const putInForce = async (config: Config) => {
      node = await openNode(config, process, { before: node });
      await metrics.follow(
        config.metrics,
        () => certificateExpiries(config.kubelet),
        () => watchedProxy(config, proxyStateFile(stateFilePath), process.clock.wallTime()),
      );
      return node;
    };
    const daemon = new Daemon({
      process,
      node: await putInForce(config),
      serviceManager: notifier,
      async reload(): Promise<Reloaded> {
        try {
          const fresh = await loadConfig(configFileOf(args));
          startLog(fresh);
          return { result: "reloaded", node: await putInForce(fresh) };
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
          return { result: "refused", mistakes: error.message };
        }
      },
      identity: { gilly: VERSION, pid: Deno.pid, startedAt: process.clock.now() },
      stateFile: {
        publish(state) {
          stateFile.publish(state);
          metrics.publish(state);
        },
      },
      signal: stop.signal,
    });
    process.observe(daemon);
    reload = () => daemon.askReload();
    try {
      await daemon.run();
      return EXIT.ok;
    } finally {
      await stateFile.close();
      await metrics.close();
      notifier.close();
    }
  },
};
