// The settings of the registry proxy. Types only.

import type { ListenAddress } from "../support/http/server.ts";

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
