// `gilly run`: the daemon, from a checked config to the signal that ends it.

import { makeGround, random, wire } from "../app.ts";
import type { Command } from "../cli.ts";
import { loadConfig } from "../config.ts";
import { Daemon } from "../daemon.ts";
import { describeError, EXIT } from "../errors.ts";
import { openNotifier } from "../sd_notify.ts";
import { CONFIG_FLAG, configFileOf, loadConfigAndLog, startLog } from "./flags.ts";

export const runCommand: Command = {
  name: "run",
  summary: "the daemon: repair this node's pods until stopped",
  description: [
    "Asks the kubelet for its pods every few seconds, pulls images that cannot be pulled through their",
    "mirror and tags them with the name the pod asked for. SIGHUP reads the config again (a bad one is",
    "refused and the old one stays); SIGTERM and SIGINT end it.",
  ].join("\n"),
  example: "gilly run --config /etc/gilly/config.yaml",
  flags: [CONFIG_FLAG],
  async run(args) {
    const config = await loadConfigAndLog(args);
    const stop = new AbortController();
    const ground = makeGround(stop.signal);
    const notifier = openNotifier({
      socketPath: Deno.env.get("NOTIFY_SOCKET"),
      runtimeDirectory: Deno.env.get("RUNTIME_DIRECTORY"),
      onFailure: (error) => ground.journal.plain("warning", "Main", describeError(error)),
    });
    const daemon = new Daemon({
      ground,
      parts: await wire(config, ground),
      serviceManager: notifier,
      random,
      reload: async () => {
        const fresh = await loadConfig(configFileOf(args));
        startLog(fresh);
        return wire(fresh, ground);
      },
      signal: stop.signal,
    });
    const end = () => stop.abort(new DOMException("stopped by a signal", "AbortError"));
    const reload = () => daemon.askReload();
    Deno.addSignalListener("SIGTERM", end);
    Deno.addSignalListener("SIGINT", end);
    Deno.addSignalListener("SIGHUP", reload);
    try {
      await daemon.run();
      return EXIT.ok;
    } finally {
      Deno.removeSignalListener("SIGTERM", end);
      Deno.removeSignalListener("SIGINT", end);
      Deno.removeSignalListener("SIGHUP", reload);
      notifier.close();
    }
  },
};
