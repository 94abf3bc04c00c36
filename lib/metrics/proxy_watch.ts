// What the metrics tell of the registry proxy, which is a process of its own: its state file, and
// the registries that are led to it. Read on every call.

import type { ProxySettings } from "../proxy/settings.ts";
import { redirectedHosts } from "../status/hosts_file.ts";
import { seeProxy } from "../status/state_file.ts";
import type { SeenProxy } from "./metrics.ts";

/**
 * Returns what is known of the proxy at `now` (milliseconds since the epoch), or undefined if it is
 * not installed: gilly-redirect makes its certificate before its first start.
 */
export async function watchedProxy(
  { certFile, hosts }: Pick<ProxySettings, "certFile" | "hosts">,
  stateFile: string,
  now: number,
): Promise<SeenProxy | undefined> {
  const isInstalled = await Deno.stat(certFile).then(() => true, () => false);
  if (!isInstalled) return undefined;
  const [seen, redirected] = await Promise.all([
    seeProxy(stateFile, now).catch(() => ({ state: undefined })),
    redirectedHosts(),
  ]);
  return { state: seen.state, redirected: new Map(hosts.map((host) => [host, redirected.has(host)])) };
}
