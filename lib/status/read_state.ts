// The text of a state file back into a state. Another version of the program may have written it, so each part is taken
// when it is what it should be, and what is missing is said.

import { type Fields, isFields } from "../support/json.ts";
import { type ContainerState, type ContainerStateName, type MirrorState } from "./node_state.ts";
import { type NodeState, STATE_VERSION } from "./node_state.ts";

/** What a state file holds, and what of it could not be understood, in sentences. */
export interface ReadState {
  /** Undefined when nothing of it is of use. */
  readonly state: NodeState | undefined;
  readonly problems: readonly string[];
}

/** Why no daemon stands behind a state file. */
export interface NoDaemon {
  readonly because: string;
  /** Its process is there and has said nothing for long. */
  readonly silent: boolean;
}

/** What to do about a daemon that does not run, and about one that says nothing. */
export const START = "systemctl start gilly; journalctl -u gilly -n 20 says why it stopped";
/** See START. */
export const RESTART = "systemctl restart gilly; journalctl -u gilly -n 20 says what it did last";

/** Reads the text of a state file. Never throws. */
export function readNodeState(text: string): ReadState {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return { state: undefined, problems: ["it is torn, or no JSON"] };
  }
  if (!isFields(found) || typeof found.version !== "number" || typeof found.pid !== "number") {
    return { state: undefined, problems: ["it is JSON, but not the state of a daemon"] };
  }
  const problems: string[] = [];
  if (found.version > STATE_VERSION) {
    problems.push(`a newer Gilly wrote it (${textOr(found.gilly, "of unknown version")}): some of it may not be shown`);
  }
  const containers = listOf(found.containers).map(readContainer);
  const mirrors = listOf(found.mirrors).map(readMirror);
  const lost = [...containers, ...mirrors].filter((it) => it === undefined).length;
  if (lost > 0) problems.push(`${lost} of its containers and mirrors cannot be understood and are not shown`);
  return { state: readWhole(found, containers.filter(isThere), mirrors.filter(isThere)), problems };
}

function readWhole(found: Fields, containers: ContainerState[], mirrors: MirrorState[]): NodeState {
  const { trouble, totals, images } = found;
  const part = (value: unknown): Fields => isFields(value) ? value : {};
  return {
    version: STATE_VERSION,
    gilly: textOr(found.gilly, "?"),
    pid: numberOr(found.pid, 0),
    configFile: textOr(found.configFile, "?"),
    startedAt: textOr(found.startedAt, "?"),
    writtenAt: textOr(found.writtenAt, "?"),
    lastGoodPassAt: timeOrNull(found.lastGoodPassAt),
    podCount: numberOr(found.podCount, null),
    trouble: {
      pass: textOr(part(trouble).pass, null),
      config: textOr(part(trouble).config, null),
      engine: textOr(part(trouble).engine, null),
    },
    totals: { repaired: numberOr(part(totals).repaired, 0), failed: numberOr(part(totals).failed, 0) },
    images: {
      repairing: numberOr(part(images).repairing, 0),
      waiting: numberOr(part(images).waiting, 0),
      unrepairable: numberOr(part(images).unrepairable, 0),
    },
    containers,
    mirrors,
  };
}

function readContainer(found: unknown): ContainerState | undefined {
  if (!isFields(found)) return undefined;
  const { namespace, pod, image, state } = found;
  if (![namespace, pod, image, state].every((it) => typeof it === "string")) return undefined;
  return {
    namespace: String(namespace),
    pod: String(pod),
    container: textOr(found.container, "?"),
    image: String(image),
    waitingReason: textOr(found.waitingReason, "?"),
    state: state as ContainerStateName,
    reason: textOr(found.reason, null),
    advice: textOr(found.advice, null),
    message: textOr(found.message, null),
    nextTryAt: timeOrNull(found.nextTryAt),
    mirror: textOr(found.mirror, null),
  };
}

function readMirror(found: unknown): MirrorState | undefined {
  if (!isFields(found) || typeof found.mirror !== "string" || typeof found.state !== "string") return undefined;
  return {
    mirror: found.mirror,
    state: found.state as MirrorState["state"],
    coolingDownUntil: timeOrNull(found.coolingDownUntil),
    because: textOr(found.because, null),
  };
}

function isThere<T>(value: T | undefined): value is T {
  return value !== undefined;
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOr<Other>(value: unknown, other: Other): string | Other {
  return typeof value === "string" ? value : other;
}

function numberOr<Other>(value: unknown, other: Other): number | Other {
  return typeof value === "number" && Number.isFinite(value) ? value : other;
}

function timeOrNull(value: unknown): string | null {
  return typeof value === "string" && !Number.isNaN(Date.parse(value)) ? value : null;
}
