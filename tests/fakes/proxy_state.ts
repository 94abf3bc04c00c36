// The state of a registry proxy, as it writes it at NOW.

import type { ProxyState } from "../../lib/status/proxy_state.ts";
import { NOW } from "./node_facts.ts";

/** Returns the state of a proxy that served from one of two mirrors, with `changes` applied. */
export function proxyStateWith(changes: Partial<ProxyState> = {}): ProxyState {
  return {
    version: 1,
    gilly: "1.2.3",
    pid: Deno.pid,
    configFile: "/etc/gilly/config.yaml",
    startedAt: new Date(NOW - 3_600_000).toISOString(),
    writtenAt: new Date(NOW).toISOString(),
    listen: "127.0.0.1:12443",
    hosts: ["gcr.io", "quay.io"],
    runtime: "docker",
    trouble: { config: null, certificate: null },
    totals: { served: 12, notServed: 2, bytes: 3_400_000_000, resumed: 1 },
    mirrors: [
      { mirror: "m.example", state: "up", coolingDownUntil: null, because: null, served: 12, bytes: 3_400_000_000 },
      {
        mirror: "n.example",
        state: "cooling-down",
        coolingDownUntil: new Date(NOW + 30_000).toISOString(),
        because: "n.example answered 503",
        served: 0,
        bytes: 0,
      },
    ],
    ...changes,
  };
}
