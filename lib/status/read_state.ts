// Parses the text of a state file. Another version of the program may have written it, so each part
// is taken only if it is valid, and what is missing is reported.

import * as z from "zod/mini";
import { isFields } from "../support/json.ts";
import { type ContainerStateName, type MirrorState, type NodeState, STATE_VERSION } from "./node_state.ts";

/** The contents of a state file, and what could not be understood, in sentences. */
export interface ReadState {
  /** Undefined if nothing in it is usable. */
  readonly state: NodeState | undefined;
  readonly problems: readonly string[];
}

/** Why no running daemon belongs to a state file. */
export interface NoDaemon {
  readonly because: string;
  /** Its process exists but has written nothing for long. */
  readonly silent: boolean;
}

/** What to do about a daemon that is not running, and (RESTART) about one that is silent. */
export const START = "systemctl start gilly; journalctl -u gilly -n 20 says why it stopped";
/** See START. */
export const RESTART = "systemctl restart gilly; journalctl -u gilly -n 20 says what it did last";

// Invalid values count as unknown, except for the fields that identify a container or a mirror.
const textOr = (unknown: string) => z.catch(z.string(), unknown);
const note = z.catch(z.nullable(z.string()), null);
const time = z.catch(z.nullable(z.string().check(z.refine((text) => !Number.isNaN(Date.parse(text))))), null);
const count = z.catch(z.number(), 0);
/** A word from a list that a newer version may have extended. */
const word = <Word extends string>() => z.custom<Word>((value) => typeof value === "string");

const CONTAINER = z.object({
  namespace: z.string(),
  pod: z.string(),
  container: textOr("?"),
  image: z.string(),
  waitingReason: textOr("?"),
  state: word<ContainerStateName>(),
  reason: note,
  advice: note,
  message: note,
  nextTryAt: time,
  mirror: note,
});

const MIRROR = z.object({
  mirror: z.string(),
  state: word<MirrorState["state"]>(),
  coolingDownUntil: time,
  because: note,
});

const STATE = z.object({
  version: z.number(),
  gilly: textOr("?"),
  pid: z.number(),
  configFile: textOr("?"),
  startedAt: textOr("?"),
  writtenAt: textOr("?"),
  lastGoodPassAt: time,
  podCount: z.catch(z.nullable(z.number()), null),
  trouble: partly({ pass: note, config: note, engine: note }),
  totals: partly({ repaired: count, failed: count }),
  images: partly({ repairing: count, waiting: count, unrepairable: count }),
  containers: z.catch(z.array(z.unknown()), []),
  mirrors: z.catch(z.array(z.unknown()), []),
});

/** An object that may be missing, as may each of its fields. */
function partly<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.pipe(z.transform((value) => isFields(value) ? value : {}), z.object(shape));
}

/** Parses the text of a state file. Never throws. */
export function readNodeState(text: string): ReadState {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { state: undefined, problems: ["it is truncated, or not JSON"] };
  }
  const { data: found } = z.safeParse(STATE, parsed);
  if (found === undefined) return { state: undefined, problems: ["it is JSON, but not the state of a daemon"] };
  const problems: string[] = [];
  if (found.version > STATE_VERSION) {
    const writer = found.gilly === "?" ? "of unknown version" : found.gilly;
    problems.push(`a newer Gilly wrote it (${writer}): some of it may not be shown`);
  }
  const containers = found.containers.map((container) => z.safeParse(CONTAINER, container).data);
  const mirrors = found.mirrors.map((mirror) => z.safeParse(MIRROR, mirror).data);
  const lost = [...containers, ...mirrors].filter((it) => it === undefined).length;
  if (lost > 0) problems.push(`${lost} of its containers and mirrors cannot be understood and are not shown`);
  const state: NodeState = {
    ...found,
    version: STATE_VERSION,
    containers: containers.filter((it) => it !== undefined),
    mirrors: mirrors.filter((it) => it !== undefined),
  };
  return { state, problems };
}
