// The instruments Gilly is measured with: names, units, labels, and the zeros they start from. Labels are short fixed lists
// and the config's own mirrors, never an image, a pod or a namespace, so that the number of series cannot grow.

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

/** The package that knows the exposition format; loaded only where somebody wants metrics. */
export type Library = typeof prometheus;

/** Everything that is measured. */
export type Instruments = ReturnType<typeof makeInstruments>;

/** Bucket bounds in seconds: a pass is one answer of the kubelet, a pull anything up to gigabytes over a slow line. */
const PASS_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40];
const PULL_SECONDS = [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800];

/** What a pull from a mirror came to; one that cools down is not asked. */
export const PULL_RESULTS = ["delivered", ...PULL_FAILURES] as const;

/** See PULL_RESULTS. */
export type PullResult = typeof PULL_RESULTS[number];

/** What becomes of a failing container; the reason is empty but for the unrepairable. */
export interface ContainerLabels {
  readonly state: ContainerStateName;
  readonly reason: UnrepairableReason | "";
}

/** Everything that can become of one. */
export const CONTAINER_LABELS: readonly ContainerLabels[] = [
  ...CONTAINER_STATES.filter((state) => state !== "unrepairable").map((state) => ({ state, reason: "" as const })),
  ...UNREPAIRABLE_REASONS.map((reason) => ({ state: "unrepairable" as const, reason })),
];

const REPAIR_LABELS: readonly { readonly result: Outcome["result"]; readonly reason: string }[] = [
  ...REPAIR_RESULTS.map((result) => ({ result, reason: "" })),
  ...FINAL_REASONS.map((reason) => ({ result: "failed" as const, reason })),
];

/** Makes the instruments in a registry of their own, with a zero for every series that is known beforehand. */
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
    started: gauge("start_time_seconds", "When the daemon began to count, in Unix time."),
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
    pulledBytes: counter("pulled_bytes", "Bytes of the layers that pulls downloaded, as far as the runtime told them."),
    mirrorPulls: counter("mirror_pulls", "Images asked of a mirror, by what came of it.", ["mirror", "result"]),
    mirrorUp: gauge("mirror_up", "Whether the mirror delivered when last asked; 1 before it is asked.", ["mirror"]),
    mirrorCoolingDown: gauge("mirror_cooling_down", "Whether the mirror is cooling down after a failure.", [
      "mirror",
    ]),
    kubeletErrors: counter("kubelet_errors", "Requests for the pods that failed, by kind.", ["kind"]),
    dockerErrors: counter("docker_errors", "Calls to the runtime that failed, pulls included, by kind.", [
      "kind",
    ]),
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

// A series that begins at its first event has no increase there, and no alert would see it.
function startFromZero({ repairs, containers, kubeletErrors, dockerErrors, passes, pulls }: Instruments): void {
  for (const labels of REPAIR_LABELS) repairs.inc(labels, 0);
  for (const labels of CONTAINER_LABELS) containers.set({ ...labels }, 0);
  for (const kind of KUBELET_ERROR_KINDS) kubeletErrors.inc({ kind }, 0);
  for (const kind of RUNTIME_ERROR_KINDS) dockerErrors.inc({ kind }, 0);
  for (const result of ["good", "failed"]) passes.zero({ result });
  for (const result of ["delivered", "failed"]) pulls.zero({ result });
}
