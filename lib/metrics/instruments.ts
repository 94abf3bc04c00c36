// The instruments: names, units, labels, and initial zeros. Labels are short fixed lists and the
// mirrors of the config, never an image, a pod or a namespace, so the number of series cannot grow.

import type * as prometheus from "prom-client";
import { KUBELET_ERROR_KINDS } from "../kubelet/errors.ts";
import {
  FINAL_REASONS,
  type Outcome,
  PULL_FAILURES,
  REPAIR_RESULTS,
  UNREPAIRABLE_REASONS,
  type UnrepairableReason,
} from "../plan/outcome.ts";
import { RUNTIME_ERROR_KINDS } from "../runtime/errors.ts";
import { CONTAINER_STATES, type ContainerStateName } from "../status/node_state.ts";

/** The package that implements the exposition format; loaded only if metrics are enabled. */
export type Library = typeof prometheus.default;

/** All instruments. */
export type Instruments = ReturnType<typeof makeInstruments>;

/**
 * Bucket bounds in seconds: a pass takes one answer of the kubelet, a pull up to gigabytes over a
 * slow line.
 */
const PASS_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40];
const PULL_SECONDS = [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800];

/** The results of a pull from a mirror; a mirror that is cooling down is not tried. */
export const PULL_RESULTS = ["delivered", ...PULL_FAILURES] as const;

/** See PULL_RESULTS. */
export type PullResult = typeof PULL_RESULTS[number];

/** The labels of a failing container; the reason is empty unless it is unrepairable. */
export interface ContainerLabels {
  readonly state: ContainerStateName;
  readonly reason: UnrepairableReason | "";
}

/** All possible labels of a failing container. */
export const CONTAINER_LABELS: readonly ContainerLabels[] = [
  ...CONTAINER_STATES.filter((state) => state !== "unrepairable").map((state) => ({ state, reason: "" as const })),
  ...UNREPAIRABLE_REASONS.map((reason) => ({ state: "unrepairable" as const, reason })),
];

const REPAIR_LABELS: readonly { readonly result: Outcome["result"]; readonly reason: string }[] = [
  ...REPAIR_RESULTS.map((result) => ({ result, reason: "" })),
  ...FINAL_REASONS.map((reason) => ({ result: "failed" as const, reason })),
];

/** Creates the instruments in their own registry, with a zero for every series known in advance. */
export function makeInstruments(library: Library) {
  const registry = new library.Registry();
  const common = { registers: [registry] };
  const gauge = <Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []) =>
    new library.Gauge<Label>({ name: `gilly_${name}`, help, labelNames, ...common });
  const counter = <Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []) =>
    new library.Counter<Label>({ name: `gilly_${name}_total`, help, labelNames, ...common });
  const seconds = (name: string, help: string, buckets: number[]) =>
    new library.Histogram({ name: `gilly_${name}_duration_seconds`, help, labelNames: ["result"], buckets, ...common });
  const instruments = {
    registry,
    build: gauge("build_info", "Always 1; the labels tell which build this is.", ["version", "deno"]),
    started: gauge("start_time_seconds", "When the daemon started, in Unix time."),
    memory: gauge("resident_memory_bytes", "Memory of the process that is resident."),
    passes: seconds("pass", "Passes over the node's pods: how long each took, and how it ended.", PASS_SECONDS),
    lastGoodPass: gauge(
      "last_good_pass_timestamp_seconds",
      "When the kubelet last listed its pods, in Unix time; 0 if never.",
    ),
    pods: gauge("pods", "Pods of the node, as of the last good pass."),
    containers: gauge(
      "failing_containers",
      "Containers that wait for an image, as of the last good pass, by state.",
      ["state", "reason"],
    ),
    repairs: counter("repairs", "Repairs of images that have ended, by result.", ["result", "reason"]),
    repairsUnderWay: gauge("repairs_under_way", "Repairs of images that are under way."),
    pulls: seconds("pull", "Pulls by the runtime: how long each took, and how it ended.", PULL_SECONDS),
    pulledBytes: counter(
      "pulled_bytes",
      "Bytes of the layers that pulls downloaded, as far as the runtime reported them.",
    ),
    mirrorPulls: counter("mirror_pulls", "Images requested from a mirror, by result.", ["mirror", "result"]),
    mirrorUp: gauge("mirror_up", "Whether the mirror delivered when last used; 1 before its first use.", ["mirror"]),
    mirrorCoolingDown: gauge("mirror_cooling_down", "Whether the mirror is cooling down after a failure.", [
      "mirror",
    ]),
    kubeletErrors: counter("kubelet_errors", "Requests for the pods that failed, by kind.", ["kind"]),
    runtimeErrors: counter("runtime_errors", "Calls to the runtime that failed, pulls included, by kind.", [
      "kind",
    ]),
    proxyUp: gauge("proxy_up", "Whether the registry proxy runs, where it is installed."),
    proxyRedirected: gauge("proxy_redirected", "Whether the pulls of a registry are led to the registry proxy.", [
      "registry",
    ]),
    proxyServed: counter("proxy_pulls", "Pulls that the registry proxy served, by the mirror of the manifest.", [
      "mirror",
    ]),
    proxyBytes: counter("proxy_served_bytes", "Bytes of layers that the registry proxy served, by that mirror.", [
      "mirror",
    ]),
    proxyNotServed: counter("proxy_not_served", "Requests for an image that the registry proxy did not serve."),
    proxyResumed: counter("proxy_resumed", "How often another mirror continued a layer."),
    ledgerErrors: counter("ledger_errors", "Lines that could not be written to the ledger."),
    configAccepted: gauge("config_last_reload_successful", "Whether the last config that was read was put in force."),
    certificateExpiry: gauge(
      "certificate_expiry_timestamp_seconds",
      "When a certificate of the config expires, in Unix time.",
      ["certificate"],
    ),
  };
  startFromZero(instruments);
  return instruments;
}

// A series that begins with its first event shows no increase, so no alert would see that event.
function startFromZero({ repairs, containers, kubeletErrors, runtimeErrors, passes, pulls }: Instruments): void {
  for (const labels of REPAIR_LABELS) repairs.inc(labels, 0);
  for (const labels of CONTAINER_LABELS) containers.set({ ...labels }, 0);
  for (const kind of KUBELET_ERROR_KINDS) kubeletErrors.inc({ kind }, 0);
  for (const kind of RUNTIME_ERROR_KINDS) runtimeErrors.inc({ kind }, 0);
  for (const result of ["good", "failed"]) passes.zero({ result });
  for (const result of ["delivered", "failed"]) pulls.zero({ result });
}
