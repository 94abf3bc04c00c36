// `gilly proxy`: the registry proxy, from a checked config to the signal that ends it.

import { openProxy, openProxyProcess, type ProxyContext, type ProxyProcess } from "../app.ts";
import { type Config, ConfigError, loadConfig, loadConfigText } from "../config/config.ts";
import { mirrorHosts, originServes } from "../images/rules.ts";
import { log } from "../log/log.ts";
import { endpoint } from "../proxy/endpoint.ts";
import { RegistryServer } from "../proxy/server.ts";
import type { RuntimeInfo } from "../runtime/advice.ts";
import { proxiedHosts } from "../runtime/no_proxy.ts";
import { openRuntime } from "../runtime/open.ts";
import { type ProxyFacts, proxyLine, type ProxyState, proxyState } from "../status/proxy_state.ts";
import { PROXY_RUNTIME_DIRECTORY } from "../status/state_file.ts";
import { EXIT } from "../support/errors.ts";
import { sleep } from "../support/timeouts.ts";
import { VERSION } from "../version.ts";
import type { Command } from "./command_line.ts";
import { openOutlets, ShutdownSignal } from "./environment.ts";
import { CONFIG_FLAG, configFileOf, startLog } from "./flags.ts";

/** Milliseconds between two looks at the certificate; systemd's watchdog is fed as often. */
const LOOK_MS = 5000;

/**
 * Milliseconds in which several SIGHUPs are one: systemd hands a reload of Gilly on when it begins,
 * and again when the daemon says that it reloads (sd_notify(3), RELOADING=1).
 */
const SETTLE_MS = 300;

export const proxyCommand: Command = {
  name: "proxy",
  summary: "the registry proxy: serve images to this host until stopped",
  description: [
    "Speaks for the registries of the rules: a small registry endpoint on this host",
    "that serves their images from the mirrors, by the same rules as a repair. A",
    "runtime that is led there pulls in the first place what it could not pull:",
    "images with imagePullPolicy: Always, and images named by a digest. It needs",
    "neither the runtime's socket nor the kubelet; it only reads, and never accepts a",
    "push. SIGHUP reloads the config; SIGTERM and SIGINT stop it.",
  ].join("\n"),
  example: "gilly proxy --config /etc/gilly/config.yaml",
  flags: [CONFIG_FLAG, { name: "settings", help: "print what gilly-redirect needs of the config, and stop" }],
  async run(args, output) {
    if (args.flags.settings === true) {
      output.write(await settingsText(await loadConfigText(configFileOf(args))));
      return EXIT.ok;
    }
    let reload = () => {};
    using stop = new ShutdownSignal(() => reload());
    const config = await loadProxyConfig(configFileOf(args));
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
    const { notifier, stateFile } = openOutlets<ProxyState>("proxy", PROXY_RUNTIME_DIRECTORY);
    const startedAt = process.clock.now();
    let reloading: Promise<void> = Promise.resolve();
    let asked = false;
    reload = () => {
      if (asked) return;
      asked = true;
      reloading = reloading.then(async () => {
        await sleep(SETTLE_MS, stop.signal);
        asked = false;
        context = await reloaded(configFileOf(args), process, context);
        await server.renew();
      });
    };
    const at = `${listen.hostname}:${server.port}`;
    const show = () => {
      const state = stateOf(context, process, { startedAt, listen: at });
      stateFile.publish(state);
      return proxyLine(state);
    };
    log("info", "Proxy", `serving ${hosts.join(", ") || "the registries of the rules"} at ${at}`);
    try {
      await notifier.send({ ready: true, status: show() });
      while (!stop.signal.aborted) {
        await Promise.race([sleep(LOOK_MS, stop.signal), ended.promise]);
        await server.renew();
        await notifier.send({ watchdog: true, status: show() });
      }
      return EXIT.ok;
    } finally {
      await notifier.send({ stopping: true });
      await reloading;
      await server.close();
      process.pulls.close();
      await process.recorder.settled();
      process.clients.close();
      await stateFile.close();
      notifier.close();
    }
  },
};

/** Reads and checks the config and the credentials of its mirrors; the kubelet's are none of the proxy's business. */
async function loadProxyConfig(file: string): Promise<Config> {
  const { mirrors } = await loadConfigText(file);
  const authFiles = new Set(Object.values(mirrors).map(({ authFile }) => authFile));
  return await loadConfig(file, (path) => authFiles.has(path) ? path : undefined);
}

function stateOf(
  { config, registries }: ProxyContext,
  { clock, memory, counter }: ProxyProcess,
  identity: Pick<ProxyFacts, "startedAt" | "listen">,
): ProxyState {
  return proxyState({
    ...identity,
    gilly: VERSION,
    pid: Deno.pid,
    now: clock.now(),
    toWallTime: (at) => clock.wallTime(at),
    configFile: config.file,
    hosts: config.proxy.hosts,
    runtime: config.runtime.kind,
    totals: counter.totals,
    mirrors: mirrorHosts(registries),
    cooldowns: memory.cooldowns.mirrors(clock.now()),
  });
}

/** Returns a line for each setting, `KEY VALUE`, for a shell script: gilly-redirect. */
async function settingsText(config: Config): Promise<string> {
  const { hosts, listen, address, certFile, keyFile } = config.proxy;
  const dockerHub = config.registries.some(({ origin }) => originServes(origin, "docker.io"));
  const httpsProxy = await httpsProxyOf(config);
  const lines = [
    ["runtime", config.runtime.kind],
    ...hosts.map((host) => ["host", host]),
    ["address", address],
    ["port", String(listen.port)],
    ["certFile", certFile],
    ["keyFile", keyFile],
    ["dockerHub", dockerHub ? "yes" : "no"],
    ...(httpsProxy === undefined ? [] : [["httpsProxy", httpsProxy.url]]),
    ...proxiedHosts(hosts, httpsProxy).map((host) => ["bypassed", host]),
  ];
  return lines.map((words) => `${words.join(" ")}\n`).join("");
}

/** Milliseconds for the runtime to say whether it pulls through an HTTPS proxy. */
const INFO_MS = 5000;

/** Returns the HTTPS proxy of the runtime, or undefined if it has none or cannot be asked. */
async function httpsProxyOf(config: Config): Promise<RuntimeInfo["httpsProxy"]> {
  const runtime = await openRuntime(config);
  try {
    return (await runtime.info(AbortSignal.timeout(INFO_MS))).httpsProxy;
  } catch {
    return undefined;
  } finally {
    runtime.close();
  }
}

/** Returns what the config makes of the proxy now, or the old context if it is refused. */
async function reloaded(file: string, process: ProxyProcess, before: ProxyContext): Promise<ProxyContext> {
  try {
    const fresh = await loadProxyConfig(file);
    const mistake = mistakeInReload(before.config, fresh);
    if (mistake !== undefined) throw new ConfigError([{ file, line: undefined, key: "proxy", message: mistake }]);
    startLog(fresh);
    const context = await openProxy(fresh, process, before);
    process.observer.reloaded?.(file);
    return context;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.observer.reloaded?.(file, error.message);
    return before;
  }
}

function mistakeInReload({ proxy: before }: Config, { proxy: after }: Config): string | undefined {
  const changed = (["listen", "certFile", "keyFile"] as const).filter((key) =>
    JSON.stringify(before[key]) !== JSON.stringify(after[key])
  );
  return changed.length === 0 ? undefined : `${changed.join(", ")} changed: systemctl restart gilly-proxy`;
}
