// What the metrics tell of the registry proxy, which is a process of its own: its state file, and
// the registries that are led to it. Read on every call.

import type { ProxySettings } from "../proxy/settings.ts";
import { leadingOf, type LeadingSettings, ledHosts } from "../status/led_hosts.ts";
import { isProxyInstalled } from "../status/proxy_installed.ts";
import { seeProxy } from "../status/state_file.ts";
import type { SeenProxy } from "./metrics.ts";

/**
 * Returns what is known of the proxy at `now` (milliseconds since the epoch), or undefined if it is
 * not installed.
 */
export async function watchedProxy(
  config: LeadingSettings & { readonly proxy: Pick<ProxySettings, "certFile"> },
  stateFile: string,
  now: number,
): Promise<SeenProxy | undefined> {
  const [{ state }, redirected] = await Promise.all([
    seeProxy(stateFile, now).catch(() => ({ state: undefined })),
    ledHosts(leadingOf(config)),
  ]);
  const { certFile, hosts } = config.proxy;
  if (!await isProxyInstalled({ certFile, state, redirected })) return undefined;
  return { state, redirected: new Map(hosts.map((host) => [host, redirected.has(host)])) };
}
