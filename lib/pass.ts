// One pass: pods -> failures -> plan, and the repairs it starts. What a pass sees and decides is a
// pure value. The caller decides when to run a pass.

import type { Exclusions } from "./images/exclusions.ts";
import type { RegistryMap } from "./images/rules.ts";
import { type Failure, isCreating, type Scan, scanPods } from "./kubelet/failures.ts";
import type { PodList } from "./kubelet/pods.ts";
import type { Mirrors } from "./mirrors/mirrors.ts";
import { makePlan, type Plan, type Veto } from "./plan/plan.ts";
import type { Memory } from "./record/memory.ts";
import type { Recorder } from "./record/recorder.ts";
import type { Activity } from "./repair/activity.ts";
import type { Observer } from "./repair/observer.ts";
import type { Repairs } from "./repair/queue.ts";
import type { InstrumentedRuntime } from "./runtime/instrumented.ts";
import type { Clock } from "./support/clock.ts";

/** Everything that lives as long as the process. */
export interface ProcessContext {
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Forwards each notification to all observers. */
  readonly observer: Observer;
  /** Adds an observer, which is notified of what happens from now on. */
  observe(observer: Observer): void;
  readonly repairs: Repairs;
  readonly recorder: Recorder;
  readonly activity: Activity;
  readonly memory: Memory;
  /** Resolves when every repair under way has ended and all records are written. */
  settled(): Promise<void>;
}

/** The source of the pods; KubeletClient in the program. */
export interface PodSource {
  readonly host: string;
  pods(signal: AbortSignal): Promise<PodList>;
}

/** The part of the config that determines what a pass does. */
export interface PassSettings {
  readonly repair: {
    /** `eager` also repairs containers that wait to be created, before the kubelet has failed. */
    readonly mode: "on-failure" | "eager";
  };
}

/** What one config provides for the node; a reload creates a new one. */
export interface NodeContext<Settings = PassSettings> {
  readonly config: Settings;
  readonly kubelet: PodSource;
  readonly runtime: InstrumentedRuntime;
  readonly mirrors: Mirrors;
  readonly registries: RegistryMap;
  readonly exclusions: Exclusions;
  readonly veto: Veto;
  /** Whether the runtime can give a digest a second name; undefined if it does not answer. */
  canAliasDigest(signal: AbortSignal): Promise<boolean | undefined>;
  /** The registries whose pulls are led to the registry proxy now. */
  redirectedHosts(): Promise<ReadonlySet<string>>;
  /** Closes the connections; calls under way fail. */
  close(): void;
}

/** What a pass saw and decided. */
export interface Pass {
  readonly podCount: number;
  readonly failures: readonly Failure[];
  /** Containers that wait to be created and may fail soon. */
  readonly creatingCount: number;
  readonly plan: Plan;
}

/** Facts that are true when a pass makes its plan, and may change afterwards. */
export interface Moment {
  /** Milliseconds since the epoch, by Clock.now. */
  readonly now: number;
  /** Undefined if no image is named by a digest, or if the runtime does not answer. */
  readonly canAliasDigest: boolean | undefined;
  /** See PlanContext. */
  readonly redirected: ReadonlySet<string>;
  readonly underWay: (name: string) => boolean;
}

/** Returns the plan for the images that pods wait for. */
export function look(
  { failures, creating }: Scan,
  node: Pick<NodeContext, "config" | "registries" | "exclusions">,
  memory: Pick<Memory, "retries">,
  moment: Moment,
): Plan {
  const early = node.config.repair.mode === "eager" ? creating : [];
  const { registries, exclusions } = node;
  const retry = (name: string) => memory.retries.get(name);
  const plan = makePlan([...failures, ...early], { registries, exclusions, retry, ...moment });
  // The kubelet may still pull an image that cannot be repaired early, so report no skip before the
  // kubelet has failed.
  return { ...plan, skips: plan.skips.filter(({ failure }) => !isCreating(failure)) };
}

/** Queries the kubelet and plans; changes nothing. Throws KubeletError or the signal's reason. */
export async function survey(node: NodeContext, process: ProcessContext, signal: AbortSignal): Promise<Pass> {
  const { observer, repairs, memory, clock } = process;
  const list = await node.kubelet.pods(signal);
  observer.connected?.(node.kubelet.host);
  const { advice } = node.runtime;
  if (list.runtime !== undefined && list.runtime !== advice.scheme) observer.otherRuntime?.(list.runtime, advice);
  const scan = scanPods(list.pods);
  // Without a digest, the runtime is not queried.
  const digests = [...scan.failures, ...scan.creating].some(({ image }) => image.includes("@"));
  const canAliasDigest = digests ? await node.canAliasDigest(signal) : undefined;
  const redirected = scan.failures.length === 0 ? new Set<string>() : await node.redirectedHosts();
  const underWay = (name: string) => repairs.underWay(name);
  const plan = look(scan, node, memory, { now: clock.now(), canAliasDigest, redirected, underWay });
  observer.looked?.(list, scan.failures, plan);
  return { podCount: list.pods.length, failures: scan.failures, creatingCount: scan.creating.length, plan };
}

/**
 * Runs one pass: surveys and starts the repairs, which continue during later passes. Throws what
 * `survey` throws.
 */
export async function pass(node: NodeContext, process: ProcessContext, signal: AbortSignal): Promise<Pass> {
  const seen = await survey(node, process, signal);
  const { repairs, repairing, waits } = seen.plan;
  const wanted = [...repairs, ...repairing, ...waits.map((wait) => wait.repair)];
  const { retries } = process.memory;
  retries.retain(new Set(wanted.map(({ name }) => name)));
  for (const repair of repairs) process.repairs.start(repair, node, retries);
  return seen;
}
