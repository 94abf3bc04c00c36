// `gilly proxy`: the registry proxy, from a checked config to the signal that ends it.

import { openProxy, openProxyProcess, type ProxyContext, type ProxyProcess } from "../app.ts";
import { type Config, ConfigError, loadConfigText } from "../config/config.ts";
import { openNotifier } from "../daemon/sd_notify.ts";
import { log } from "../log/log.ts";
import { endpoint } from "../proxy/endpoint.ts";
import { RegistryServer } from "../proxy/server.ts";
import { describeError, EXIT } from "../support/errors.ts";
import { sleep } from "../support/timeouts.ts";
import type { Command } from "./command_line.ts";
import { ShutdownSignal } from "./environment.ts";
import { CONFIG_FLAG, configFileOf, startLog } from "./flags.ts";

/** Milliseconds between two looks at the certificate; systemd's watchdog is fed as often. */
const LOOK_MS = 10_000;

export const proxyCommand: Command = {
  name: "proxy",
  summary: "the registry proxy: serve images to this host until stopped",
  description: [
    "Speaks for the registries of the rules: a small registry endpoint on this host",
    "that serves their images from the mirrors, by the same rules as a repair. A",
    "runtime that is led there pulls in the first place what it could not pull:",
    "images with imagePullPolicy: Always, and images named by a digest. It needs",
    "neither Docker's socket nor the kubelet; it only reads, and never accepts a",
    "push. SIGHUP reloads the config; SIGTERM and SIGINT stop it.",
  ].join("\n"),
  example: "gilly proxy --config /etc/gilly/config.yaml",
  flags: [CONFIG_FLAG],
  async run(args) {
    let reload = () => {};
    using stop = new ShutdownSignal(() => reload());
    const config = await loadConfigText(configFileOf(args));
    startLog(config);
    const process = openProxyProcess();
    let context = await openProxy(config, process);
    const ended = Promise.withResolvers<never>();
    const { listen, certFile, keyFile, hosts } = config.proxy;
    const server = await RegistryServer.open({
      listen,
      certFile,
      keyFile,
      handle: endpoint(() => context),
      observer: process.observer,
      onEnd: ended.reject,
    });
    const notifier = openNotifier({
      socketPath: Deno.env.get("NOTIFY_SOCKET"),
      runtimeDirectory: Deno.env.get("RUNTIME_DIRECTORY"),
      onFailure: (error) => log("warning", "Main", describeError(error)),
    });
    let reloading: Promise<void> = Promise.resolve();
    reload = () => {
      reloading = reloading.then(async () => {
        context = await reloaded(configFileOf(args), process, context);
        await server.renew();
      });
    };
    const at = `${listen.hostname}:${server.port}`;
    log("info", "Proxy", `serving ${hosts.join(", ") || "the registries of the rules"} at ${at}`);
    try {
      await notifier.send({ ready: true, status: `Serving at ${at}` });
      while (!stop.signal.aborted) {
        await Promise.race([sleep(LOOK_MS, stop.signal), ended.promise]);
        await notifier.send({ watchdog: true });
        await server.renew();
      }
      return EXIT.ok;
    } finally {
      await notifier.send({ stopping: true });
      await reloading;
      await server.close();
      process.pulls.close();
      await process.recorder.settled();
      process.clients.close();
      notifier.close();
    }
  },
};

/** Returns what the config makes of the proxy now, or the old context if it is refused. */
async function reloaded(file: string, process: ProxyProcess, before: ProxyContext): Promise<ProxyContext> {
  try {
    const fresh = await loadConfigText(file);
    const mistake = mistakeInReload(before.config, fresh);
    if (mistake !== undefined) throw new ConfigError([{ file, line: undefined, key: "proxy", message: mistake }]);
    startLog(fresh);
    const context = await openProxy(fresh, process, before);
    process.observer.reloaded?.(file);
    return context;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.observer.reloaded?.(file, error.message.replaceAll("\n", "; "));
    return before;
  }
}

function mistakeInReload({ proxy: before }: Config, { proxy: after }: Config): string | undefined {
  const changed = (["listen", "certFile", "keyFile"] as const).filter((key) =>
    JSON.stringify(before[key]) !== JSON.stringify(after[key])
  );
  return changed.length === 0 ? undefined : `${changed.join(", ")} changed: systemctl restart gilly-proxy`;
}
