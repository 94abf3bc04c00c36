// Metrics for tests, states of a node to show them, and a way to read a number out of the text.

import * as library from "prom-client";
import { Metrics } from "../../lib/metrics/metrics.ts";
import type { NodeState } from "../../lib/status/node_state.ts";

/** Metrics of a process of 50 MB. */
export function makeMetrics(startedAt = 1_600_000_000_000): Metrics {
  return new Metrics(library, { version: "1.2.3", deno: "2.0.0", startedAt, residentBytes: () => 5e7 });
}

/** A healthy node without a failing container, but for the changes. */
export function nodeStateWith(changes: Partial<NodeState> = {}): NodeState {
  return {
    version: 1,
    gilly: "1.2.3",
    pid: 1,
    configFile: "/etc/gilly/config.yaml",
    startedAt: "2020-09-13T12:26:40.000Z",
    writtenAt: "2020-09-13T12:26:40.000Z",
    lastGoodPassAt: "2020-09-13T12:26:40.000Z",
    podCount: 12,
    trouble: { pass: null, config: null, engine: null },
    totals: { repaired: 0, failed: 0 },
    images: { repairing: 0, waiting: 0, unrepairable: 0 },
    containers: [],
    mirrors: [],
    ...changes,
  };
}

/** The value of a series as it stands in the text, such as `gilly_pods`; undefined when it is not there. */
export function valueIn(text: string, series: string): number | undefined {
  const line = text.split("\n").find((line) => line.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

/** Every series of the text, without values. */
export function seriesIn(text: string): string[] {
  return text.split("\n").filter((line) => /^\w/.test(line)).map((line) => line.replace(/ [^ ]+$/, ""));
}
