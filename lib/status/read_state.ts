// Parses the text of a state file. Another version of the program may have written it, so each part
// is taken only if it is valid, and what is missing is reported.

import * as z from "zod/mini";
import { isFields } from "../support/json.ts";
import type { MirrorState } from "./mirror_states.ts";
import { type ContainerStateName, type NodeState, STATE_VERSION } from "./node_state.ts";
import { PROXY_STATE_VERSION, type ProxyState } from "./proxy_state.ts";

/** The contents of a state file, and what could not be understood, in sentences. */
export interface ReadState<State = NodeState> {
  /** Undefined if nothing in it is usable. */
  readonly state: State | undefined;
  readonly problems: readonly string[];
}

/** Why no running process belongs to a state file. */
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

/** What both kinds of state have. */
const PROCESS = {
  version: z.number(),
  gilly: textOr("?"),
  pid: z.number(),
  configFile: textOr("?"),
  startedAt: textOr("?"),
  writtenAt: textOr("?"),
};

const STATE = z.object({
  ...PROCESS,
  lastGoodPassAt: time,
  podCount: z.catch(z.nullable(z.number()), null),
  trouble: partly({ pass: note, config: note, engine: note }),
  totals: partly({ repaired: count, failed: count }),
  images: partly({ repairing: count, waiting: count, unrepairable: count }),
  containers: z.catch(z.array(z.unknown()), []),
  mirrors: z.catch(z.array(z.unknown()), []),
});

const PROXY_STATE = z.object({
  ...PROCESS,
  listen: z.string(),
  hosts: z.catch(z.array(z.string()), []),
  // An earlier version knew Docker alone.
  runtime: z.catch(z.enum(["docker", "containerd"]), "docker"),
  trouble: partly({ config: note, certificate: note }),
  totals: partly({ served: count, notServed: count, bytes: count, resumed: count }),
  mirrors: z.catch(z.array(z.unknown()), []),
});

const PROXY_MIRROR = z.extend(MIRROR, { served: count, bytes: count });

/** An object that may be missing, as may each of its fields. */
function partly<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.pipe(z.transform((value) => isFields(value) ? value : {}), z.object(shape));
}

/** Parses the text of a daemon's state file. Never throws. */
export function readNodeState(text: string): ReadState {
  const { found, problems } = parsed(text, STATE, STATE_VERSION, "a daemon");
  if (found === undefined) return { state: undefined, problems };
  const containers = understood(found.containers, CONTAINER);
  const mirrors = understood(found.mirrors, MIRROR);
  const lost = found.containers.length - containers.length + found.mirrors.length - mirrors.length;
  if (lost > 0) problems.push(`${lost} of its containers and mirrors cannot be understood and are not shown`);
  return { state: { ...found, version: STATE_VERSION, containers, mirrors }, problems };
}

/** Parses the text of a registry proxy's state file. Never throws. */
export function readProxyState(text: string): ReadState<ProxyState> {
  const { found, problems } = parsed(text, PROXY_STATE, PROXY_STATE_VERSION, "a registry proxy");
  if (found === undefined) return { state: undefined, problems };
  const mirrors = understood(found.mirrors, PROXY_MIRROR);
  const lost = found.mirrors.length - mirrors.length;
  if (lost > 0) problems.push(`${lost} of its mirrors cannot be understood and are not shown`);
  return { state: { ...found, version: PROXY_STATE_VERSION, mirrors }, problems };
}

/** Returns the items that follow the schema. */
function understood<Item>(items: readonly unknown[], schema: z.ZodMiniType<Item>): Item[] {
  return items.map((item) => z.safeParse(schema, item).data).filter((it) => it !== undefined);
}

function parsed<Found extends { readonly version: number; readonly gilly: string }>(
  text: string,
  schema: z.ZodMiniType<Found>,
  version: number,
  whose: string,
): { readonly found: Found | undefined; readonly problems: string[] } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { found: undefined, problems: ["it is truncated, or not JSON"] };
  }
  const { data: found } = z.safeParse(schema, json);
  if (found === undefined) return { found, problems: [`it is JSON, but not the state of ${whose}`] };
  const writer = found.gilly === "?" ? "of unknown version" : found.gilly;
  const newer = found.version <= version ? [] : [
    `a newer Gilly wrote it (${writer}): some of it may not be shown`,
  ];
  return { found, problems: newer };
}
