// One pass: pods -> failures -> plan, and the repairs it starts. A plain function; when to pass is somebody else's matter.

import type { Exclusions } from "./images/exclusions.ts";
import type { RegistryMap } from "./images/rules.ts";
import { type Failure, isExpectant, scanPods } from "./kubelet/failures.ts";
import type { PodList } from "./kubelet/pods.ts";
import { makePlan, type Plan } from "./plan/plan.ts";
import type { Observer } from "./repair/observer.ts";
import type { Bench, Repairs } from "./repair/queue.ts";
import type { ImageStore } from "./runtime/runtime.ts";

/** Who is asked for the pods; KubeletClient in the program. */
export interface PodSource {
  readonly host: string;
  pods(signal: AbortSignal): Promise<PodList>;
}

/** What a pass is made of, as the configuration in force wired it. */
export interface Parts {
  readonly kubelet: PodSource;
  readonly registries: RegistryMap;
  readonly exclusions: Exclusions;
  /** Repair containers that wait to be created before the kubelet has failed on them. */
  readonly eager: boolean;
  readonly bench: Bench;
  /** Images to hold present, and where their repairs are noted: apart from those that pods wait for. */
  readonly keep: { readonly images: readonly string[]; readonly bench: Bench };
  /** How the Engine keeps images, or undefined while it does not answer. */
  imageStore(signal: AbortSignal): Promise<ImageStore | undefined>;
}

/** What stays the same from pass to pass, whatever the configuration. */
export interface Ground {
  readonly observer: Observer;
  readonly repairs: Repairs;
  /** Resolves when every repair under way has ended, and what was to be recorded is written. */
  settled(): Promise<void>;
  /** Milliseconds since the epoch, by a clock that nobody sets: see app.ts. */
  readonly now: () => number;
}

/** What a pass saw and decided. */
export interface Pass {
  readonly podCount: number;
  readonly failures: readonly Failure[];
  /** Containers that wait to be created, and may fail soon. */
  readonly expectantCount: number;
  readonly plan: Plan;
}

/** Looks and plans; touches nothing. Throws KubeletError, or the signal's reason. */
export async function look(parts: Parts, ground: Ground, signal: AbortSignal): Promise<Pass> {
  const list = await parts.kubelet.pods(signal);
  ground.observer.connected?.(parts.kubelet.host);
  const { failures, expectant } = scanPods(list.pods);
  const early = parts.eager ? expectant : [];
  // Only a digest makes the image store matter, and a pass that found nothing asks Docker nothing.
  const digests = [...failures, ...early].some(({ image }) => image.includes("@"));
  const plan = withoutExpectantSkips(makePlan([...failures, ...early], {
    registries: parts.registries,
    exclusions: parts.exclusions,
    imageStore: digests ? await parts.imageStore(signal) : undefined,
    attempt: (name) => parts.bench.attempts.get(name),
    underWay: (name) => ground.repairs.underWay(name),
    now: ground.now(),
  }));
  ground.observer.looked?.(list, failures, plan);
  return { podCount: list.pods.length, failures, expectantCount: expectant.length, plan };
}

// What cannot be repaired early may well be pulled by the kubelet; there is nothing to say before it failed.
function withoutExpectantSkips(plan: Plan): Plan {
  return { ...plan, skips: plan.skips.filter(({ failure }) => !isExpectant(failure)) };
}

/** One pass: looks, plans, and starts the repairs, which go on beside later passes. Throws as `look` does. */
export async function pass(parts: Parts, ground: Ground, signal: AbortSignal): Promise<Pass> {
  const seen = await look(parts, ground, signal);
  const { repairs, repairing, waits } = seen.plan;
  const wanted = [...repairs, ...repairing, ...waits.map((wait) => wait.repair)];
  parts.bench.attempts.keepOnly(new Set(wanted.map(({ name }) => name)));
  for (const repair of repairs) ground.repairs.start(repair, parts.bench);
  return seen;
}
