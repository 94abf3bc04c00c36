// The adapter for what leads a runtime to the registry proxy: Docker is led by gilly-redirect, and
// containerd by the files of `gilly export containerd --via-proxy`.

import type { ProxySettings } from "../proxy/settings.ts";
import { CONTAINERD_CERTS_FOLDER } from "../proxy/trust.ts";
import type { RuntimeKind, RuntimeSettings } from "../runtime/open.ts";
import { redirectedHosts } from "./hosts_file.ts";

/** What determines which registries are led to the proxy. */
export interface Leading {
  /** Docker if a proxy of an earlier version, which knew no other, does not say. */
  readonly runtime: RuntimeKind;
  /** `ADDRESS:PORT` where the proxy serves. */
  readonly listen: string;
  /** The registries to look for where a file is for all of them. */
  readonly hosts: readonly string[];
}

/** The part of a config that says how pulls are led to the proxy. */
export interface LeadingSettings {
  readonly runtime: Pick<RuntimeSettings["runtime"], "kind">;
  readonly proxy: Pick<ProxySettings, "listen" | "hosts">;
}

/** Returns how a config leads pulls to the proxy. */
export function leadingOf({ runtime: { kind }, proxy: { listen, hosts } }: LeadingSettings): Leading {
  return { runtime: kind, listen: `${listen.hostname}:${listen.port}`, hosts };
}

/** Returns the registries whose pulls are led to the proxy now; none if that cannot be read. */
export async function ledHosts(
  { runtime, listen, hosts }: Leading,
  folder = CONTAINERD_CERTS_FOLDER,
): Promise<ReadonlySet<string>> {
  if (runtime === "docker") return await redirectedHosts();
  const found = new Map<string, boolean>();
  try {
    for await (const { name } of Deno.readDir(folder)) {
      const text = await Deno.readTextFile(`${folder}/${name}/hosts.toml`).catch(() => undefined);
      if (text !== undefined) found.set(name, text.includes(`[host."https://${listen}"]`));
    }
  } catch {
    return new Set();
  }
  // A registry without a file of its own gets that of _default (containerd, docs/hosts.md).
  const byDefault = found.get("_default") === true ? hosts.filter((host) => !found.has(host)) : [];
  found.delete("_default");
  return new Set([...[...found].filter(([, isLed]) => isLed).map(([host]) => host), ...byDefault].sort());
}
