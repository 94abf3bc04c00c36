// Metrics and node states for tests, and functions that read the metrics text.

import * as library from "prom-client";
import { Metrics } from "../../lib/metrics/metrics.ts";
import type { NodeState } from "../../lib/status/node_state.ts";

/** Returns the metrics of a process with 50 MB resident. */
export function makeMetrics(startedAt = 1_600_000_000_000): Metrics {
  return new Metrics(library, { version: "1.2.3", deno: "2.0.0", startedAt, residentBytes: () => 5e7 });
}

/** Returns the state of a healthy node without failing containers, with `changes` applied. */
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

/** Returns the value of a series, such as `gilly_pods`, in the text; undefined if it is absent. */
export function valueIn(text: string, series: string): number | undefined {
  const line = text.split("\n").find((line) => line.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

/** Returns every series in the text, without values. */
export function seriesIn(text: string): string[] {
  return text.split("\n").filter((line) => /^\w/.test(line)).map((line) => line.replace(/ [^ ]+$/, ""));
}
