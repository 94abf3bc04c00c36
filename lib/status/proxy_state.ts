// What the registry proxy has done and on what terms, as one plain value for other processes. Pure.

import type { ProxyTotals } from "../proxy/totals.ts";
import type { RuntimeKind } from "../runtime/open.ts";
import { counted } from "../support/text.ts";
import { sizeText } from "../support/units.ts";
import { isoText, type MirrorFacts, type MirrorState, mirrorStates } from "./mirror_states.ts";

/** The version of the format below; adding a field does not change it. */
export const PROXY_STATE_VERSION = 1;

/** How to lead containerd to it: the program itself writes nothing below /etc. */
export const LEAD_CONTAINERD =
  "gilly export containerd --via-proxy --output led && cp -r led/etc/. /etc/ leads them there";

/** The state of a registry proxy. Times are ISO 8601; null means unknown or not applicable. */
export interface ProxyState {
  readonly version: typeof PROXY_STATE_VERSION;
  /** The version of the program. */
  readonly gilly: string;
  readonly pid: number;
  readonly configFile: string;
  readonly startedAt: string;
  readonly writtenAt: string;
  /** `ADDRESS:PORT` where it serves. */
  readonly listen: string;
  /** The registries that the config leads to it. */
  readonly hosts: readonly string[];
  /** The runtime of the config, which decides how pulls are led to it. */
  readonly runtime: RuntimeKind;
  readonly trouble: {
    /** Set if the config on disk was refused. */
    readonly config: string | null;
    /** Set if the certificate on disk cannot be used. */
    readonly certificate: string | null;
  };
  readonly totals: {
    /** Pulls served since it started. */
    readonly served: number;
    /** Requests for an image that no mirror served, since it started. */
    readonly notServed: number;
    /** Bytes of layers. */
    readonly bytes: number;
    /** How often another mirror continued a layer. */
    readonly resumed: number;
  };
  readonly mirrors: readonly ProxyMirrorState[];
}

/** A mirror of the rules, and what was pulled from it: pulls count for the mirror that had the manifest. */
export interface ProxyMirrorState extends MirrorState {
  readonly served: number;
  readonly bytes: number;
}

/** The facts that a state is made from. */
export interface ProxyFacts extends MirrorFacts {
  readonly gilly: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly configFile: string;
  readonly listen: string;
  readonly hosts: readonly string[];
  readonly runtime: RuntimeKind;
  readonly totals: ProxyTotals;
}

/** Returns the state for these facts. */
export function proxyState(facts: ProxyFacts): ProxyState {
  const { gilly, pid, configFile, listen, hosts, runtime, totals } = facts;
  const { served, notServed, bytes, resumed, byMirror, trouble } = totals;
  return {
    version: PROXY_STATE_VERSION,
    gilly,
    pid,
    configFile,
    startedAt: isoText(facts.startedAt, facts),
    writtenAt: isoText(facts.now, facts),
    listen,
    hosts,
    runtime,
    trouble: { config: trouble.config ?? null, certificate: trouble.certificate ?? null },
    totals: { served, notServed, bytes, resumed },
    mirrors: mirrorStates(facts, undefined).map((mirror) => (
      { ...mirror, ...(byMirror.get(mirror.mirror) ?? { served: 0, bytes: 0 }) }
    )),
  };
}

/**
 * Returns one line, troubles first: `serving gcr.io, quay.io at 127.0.0.1:12443: 12 pulls (3.4 GB)
 * since start; 2 requests not served`.
 */
export function proxyLine({ trouble, hosts, listen, totals }: ProxyState): string {
  const pulls = `${counted(totals.served, "pull")} (${sizeText(totals.bytes)}) since start`;
  const where = `serving ${hosts.join(", ") || "the registries of the rules"} at ${listen}: ${pulls}`;
  const notServed = totals.notServed === 0 ? [] : [`${counted(totals.notServed, "request")} not served`];
  const resumed = totals.resumed === 0 ? [] : [`${counted(totals.resumed, "layer")} continued by another mirror`];
  return [trouble.config, trouble.certificate, where, ...notServed, ...resumed]
    .filter((part) => part !== null).join("; ");
}
