// The settings of the registry proxy, and which registries a redirect can lead to it. Pure.

import { parseLocation } from "../images/location.ts";
import type { ListenAddress } from "../support/http_server.ts";

/** The checked section `proxy` of the config. */
export interface ProxySettings {
  /** The registries that are redirected: hosts in the form of a location. */
  readonly hosts: readonly string[];
  /** Where the proxy serves; always on 127.0.0.1. */
  readonly listen: ListenAddress;
  /** The IPv4 address that stands for the hosts. */
  readonly address: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Seconds without a byte of a layer after which a mirror is given up. */
  readonly stallSeconds: number;
  /** Seconds in which a mirror must send the headers of its answer. */
  readonly headersSeconds: number;
  readonly ledgerFile: string;
}

/**
 * Returns the origins whose images can all be redirected: a name in /etc/hosts is a host without a
 * port or a path, Docker does not look docker.io up there, and the proxy must reach each mirror
 * under its own name.
 */
export function redirectableHosts(
  registries: readonly (readonly [origin: string, mirrors: readonly string[]])[],
): readonly string[] {
  const mirrors = new Set(registries.flatMap(([, mirrors]) => mirrors.map((mirror) => parseLocation(mirror).host)));
  return registries.map(([origin]) => parseLocation(origin)).flatMap(({ host, path }) =>
    path === "" && /^[^*:]*\.[^*:]*$/.test(host) && host !== "docker.io" && !mirrors.has(host) ? [host] : []
  );
}
