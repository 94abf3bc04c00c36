// What the daemon knows about its node, as one plain value for other processes: every failing
// container in exactly one state, the mirrors and their cool-downs, and the condition of the daemon
// itself.

import { type Failure, isCreating } from "../kubelet/failures.ts";
import type { Pass } from "../pass.ts";
import { adviceOn, type Failed } from "../plan/outcome.ts";
import type { Repair } from "../plan/plan.ts";
import type { RetryRecord } from "../plan/retries.ts";
import { type Silence, silenceText } from "../runtime/advice.ts";
import { spanText } from "../support/units.ts";
import { isoText, type MirrorFacts, type MirrorState, mirrorStates } from "./mirror_states.ts";

/** The version of the format below; adding a field does not change it. */
export const STATE_VERSION = 1;

/** The state of a node. Times are ISO 8601; null means unknown or not applicable. */
export interface NodeState {
  readonly version: typeof STATE_VERSION;
  /** The version of the program. */
  readonly gilly: string;
  readonly pid: number;
  readonly configFile: string;
  readonly startedAt: string;
  readonly writtenAt: string;
  /** The end of the last pass in which the kubelet listed its pods. */
  readonly lastGoodPassAt: string | null;
  readonly podCount: number | null;
  readonly trouble: {
    /** Why the last pass failed. */
    readonly pass: string | null;
    /** Set if the config on disk was refused. */
    readonly config: string | null;
    /**
     * Set if the runtime does not answer, with the cause; until it does, nothing can be repaired.
     */
    readonly engine: string | null;
  };
  readonly totals: {
    /** Images repaired since the daemon started. */
    readonly repaired: number;
    /** Tries that failed since the daemon started. */
    readonly failed: number;
  };
  /**
   * Counts of images, not containers; images of the keep list that are being pulled are included.
   */
  readonly images: { readonly repairing: number; readonly waiting: number; readonly unrepairable: number };
  readonly containers: readonly ContainerState[];
  readonly mirrors: readonly MirrorState[];
}

/** The states of a failing container; each is in exactly one. */
export const CONTAINER_STATES = ["repaired", "repairing", "waiting", "unrepairable"] as const;

/** See CONTAINER_STATES. */
export type ContainerStateName = typeof CONTAINER_STATES[number];

/** A failing container. */
export interface ContainerState {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  /** The reference as written in the manifest. */
  readonly image: string;
  /** The kubelet's waiting reason. */
  readonly waitingReason: string;
  readonly state: ContainerStateName;
  /** Why it is unrepairable or waits; see UnrepairableReason and CandidateFailure. */
  readonly reason: string | null;
  /** What a person can do, if only a person can. */
  readonly advice: string | null;
  /** The result of the last try. */
  readonly message: string | null;
  readonly nextTryAt: string | null;
  /** The mirror that delivered, is being tried, or was tried last. */
  readonly mirror: string | null;
}

/**
 * The facts that a state is made from. Times are milliseconds since the epoch, by the clock used
 * for decisions.
 */
export interface NodeFacts extends MirrorFacts {
  readonly gilly: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly configFile: string;
  readonly last: { readonly pass: Pass; readonly at: number } | undefined;
  readonly trouble: {
    readonly pass: string | undefined;
    readonly config: string | undefined;
    readonly engine: Silence | undefined;
  };
  readonly repairs: {
    readonly count: number;
    readonly repaired: number;
    readonly failed: number;
    underWay(name: string): boolean;
  };
  readonly retry: (name: string) => RetryRecord | undefined;
  /** Returns the mirror that an image is being pulled from now. */
  readonly mirrorFor: (name: string) => string | undefined;
}

/**
 * What makes a state new to its readers, apart from the time of writing: the time of the last pass
 * changes with every pass.
 */
export function newsIn(state: NodeState): unknown {
  return { ...state, lastGoodPassAt: state.lastGoodPassAt === null };
}

/** Returns the state for these facts. */
export function nodeState(facts: NodeFacts): NodeState {
  const { last, trouble, repairs } = facts;
  const containers = last === undefined ? [] : containerStates(last.pass, facts);
  const iso = (at: number) => isoText(at, facts);
  const imagesThat = (state: ContainerStateName) =>
    new Set(containers.filter((it) => it.state === state).map(({ image }) => image)).size;
  return {
    version: STATE_VERSION,
    gilly: facts.gilly,
    pid: facts.pid,
    configFile: facts.configFile,
    startedAt: iso(facts.startedAt),
    writtenAt: iso(facts.now),
    lastGoodPassAt: last === undefined ? null : iso(last.at),
    podCount: last?.pass.podCount ?? null,
    trouble: {
      pass: trouble.pass ?? null,
      config: trouble.config ?? null,
      engine: trouble.engine === undefined ? null : silenceText(trouble.engine),
    },
    totals: { repaired: repairs.repaired, failed: repairs.failed },
    images: { repairing: repairs.count, waiting: imagesThat("waiting"), unrepairable: imagesThat("unrepairable") },
    containers,
    mirrors: mirrorStates(facts, trouble.engine),
  };
}

/**
 * Returns one line at `now`, by the wall clock, troubles first: `Checked 12 pods 3 s ago: 1
 * repairing, 0 unrepairable; 41 repaired since start`.
 */
export function statusLine(
  { trouble, lastGoodPassAt, podCount, images, totals }: Omit<NodeState, "version">,
  now: number,
): string {
  const engine = trouble.engine === null ? null : `${trouble.engine}: nothing can be repaired`;
  const parts = [trouble.config, trouble.pass, engine].filter((part) => part !== null);
  if (lastGoodPassAt !== null) {
    const age = spanText((now - Date.parse(lastGoodPassAt)) / 1000);
    const states = [`${images.repairing} repairing`, `${images.waiting} waiting`, `${images.unrepairable} unrepairable`]
      .filter((text) => text !== "0 waiting");
    parts.push(`Checked ${podCount} pods ${age} ago: ${states.join(", ")}`);
  }
  return [...parts, `${totals.repaired} repaired since start`].join("; ");
}

function containerStates({ plan }: Pass, facts: NodeFacts): ContainerState[] {
  const waiting = new Map(plan.waits.map(({ repair, record }) => [repair, record]));
  const judged = [...plan.repairing, ...plan.repairs, ...waiting.keys()].flatMap((repair) => {
    const underWay = facts.repairs.underWay(repair.name);
    const standing = underWay
      ? standingOf(repair, facts)
      : standingAfter(facts.retry(repair.name) ?? waiting.get(repair), facts);
    // A container that only waits to be created is not failing; it is listed only while its image
    // is being repaired.
    const failures = repair.failures.filter((failure) => underWay || !isCreating(failure));
    return failures.map((failure) => ({ ...named(failure), ...standing }));
  });
  const refused = plan.skips.map(({ failure, reason, advice }) => (
    { ...named(failure), ...NOTHING_KNOWN, state: "unrepairable" as const, reason, advice }
  ));
  return [...judged, ...refused];
}

type Standing = Pick<ContainerState, "state" | "reason" | "advice" | "message" | "nextTryAt" | "mirror">;

const NOTHING_KNOWN = { reason: null, advice: null, message: null, nextTryAt: null, mirror: null };

function standingOf({ name }: Repair, { mirrorFor }: NodeFacts): Standing {
  return { ...NOTHING_KNOWN, state: "repairing", mirror: mirrorFor(name) ?? null };
}

function standingAfter(record: RetryRecord | undefined, facts: NodeFacts): Standing {
  if (record === undefined) return { ...NOTHING_KNOWN, state: "waiting" };
  const { last, nextTryAt } = record;
  switch (last.result) {
    case "repaired":
      return { ...NOTHING_KNOWN, state: "repaired", mirror: last.candidate.mirror };
    case "already-present":
      return { ...NOTHING_KNOWN, state: "repaired", message: "the image is present" };
    case "failed":
      return { ...standingAfterFailure(last), nextTryAt: isoText(nextTryAt, facts) };
  }
}

function standingAfterFailure(failed: Failed): Omit<Standing, "nextTryAt"> {
  const { reason, message, attempts, runtimeSilent } = failed;
  if (runtimeSilent) return { state: "waiting", reason: "unreachable", advice: null, message, mirror: null };
  const last = attempts.at(-1);
  const mirror = last?.candidate.mirror ?? null;
  if (reason === undefined) {
    return { state: "waiting", reason: last?.failure ?? "failed", advice: null, message, mirror };
  }
  // The message about the mirrors' answers already is the advice; see failedOutcome.
  const advice = reason === "digest-on-classic-store" ? adviceOn(reason) : message;
  return { state: "unrepairable", reason, advice, message, mirror };
}

function named({ pod, container, image, reason }: Failure) {
  return { namespace: pod.namespace, pod: pod.name, container, image, waitingReason: reason };
}
