// The list NO_PROXY as Go programs read it, Docker among them (golang.org/x/net/http/httpproxy).
// Pure.

import type { RuntimeInfo } from "./advice.ts";

/** Returns the hosts from which a runtime pulls through its HTTPS proxy, if it has one. */
export function proxiedHosts(hosts: readonly string[], httpsProxy: RuntimeInfo["httpsProxy"]): string[] {
  return httpsProxy === undefined ? [] : hosts.filter((host) => !isExcepted(host, httpsProxy.noProxy));
}

/** Whether a request to port 443 of a host goes past the HTTPS proxy that has this list. */
export function isExcepted(host: string, noProxy: string): boolean {
  const wanted = host.toLowerCase();
  return noProxy.toLowerCase().split(",").map((entry) => entry.trim().replace(/:443$/, "")).some((entry) =>
    entry === "*" || entry === wanted || (entry !== "" && wanted.endsWith(entry.replace(/^\*?\.?/, ".")))
  );
}
