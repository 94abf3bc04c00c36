// Formats the state of a node for people, for a given line width.

import { naturalWidth, type Table, tableLines } from "../support/table.ts";
import { printable, wrap } from "../support/text.ts";
import { spanText } from "../support/units.ts";
import type { MirrorState } from "./mirror_states.ts";
import type { ContainerState, ContainerStateName, NodeState } from "./node_state.ts";
import { statusLine } from "./node_state.ts";
import { LEAD_CONTAINERD, proxyLine, type ProxyState } from "./proxy_state.ts";

/** The order of states; those that need a person come first. */
const ORDER: readonly ContainerStateName[] = ["unrepairable", "waiting", "repairing", "repaired"];

/**
 * Returns the lines of `gilly status`: the daemon's own status line, failing containers, mirrors,
 * and the daemon itself.
 */
export function statusLines(state: NodeState, now: number, width: number): string[] {
  return [
    ...wrap(printable(statusLine(state, now)), width),
    "",
    ...containerLines(state, now, width),
    "",
    ...(state.mirrors.length === 0 ? [] : [...mirrorLines(state.mirrors, now, width), ""]),
    ...wrap(daemonLine(state, now), width),
  ];
}

const WHY_NOT_LED: Readonly<Record<ProxyState["runtime"], string>> = {
  docker: "journalctl -u gilly-redirect -n 5 says why",
  containerd: LEAD_CONTAINERD,
};

/**
 * Returns the lines about the registry proxy: its own line, the registries that are led to it now,
 * and its mirrors that failed.
 */
export function proxyLines(
  state: ProxyState,
  redirected: ReadonlySet<string>,
  now: number,
  width: number,
): string[] {
  const led = redirected.size === 0
    ? `no pulls are led to it: ${WHY_NOT_LED[state.runtime]}`
    : `led to it: ${[...redirected].join(", ")}`;
  const failed = state.mirrors.filter(({ state }) => state !== "up");
  return [
    ...wrap(printable(`Registry proxy: ${proxyLine(state)}; ${led}`), width),
    ...(failed.length === 0 ? [] : ["", ...mirrorLines(failed, now, width)]),
  ];
}

function containerLines({ containers, lastGoodPassAt }: NodeState, now: number, width: number): string[] {
  if (containers.length === 0) {
    return [
      lastGoodPassAt === null ? "The kubelet has not listed its pods yet." : "No containers are waiting for images.",
    ];
  }
  const sorted = containers.toSorted((left, right) => rank(left) - rank(right));
  const wide: Table = {
    titles: ["STATE", "POD", "CONTAINER", "IMAGE", "MIRROR", "NEXT TRY", "WHY"],
    rows: sorted.map((it) => ({
      cells: [it.state, podOf(it), it.container, it.image, it.mirror ?? "-", nextTry(it, now) ?? "-", why(it) ?? "-"],
    })),
    shrinkable: [],
    noteColumn: 0,
  };
  if (naturalWidth(wide) <= width) return tableLines(wide, width);
  const narrow: Table = {
    titles: ["STATE", "POD", "IMAGE"],
    rows: sorted.map((it) => ({ cells: [it.state, podOf(it), shortDigest(it.image)], note: noteOn(it, now) })),
    shrinkable: [2, 1],
    noteColumn: 1,
  };
  return tableLines(narrow, width);
}

function noteOn(container: ContainerState, now: number): string {
  const next = nextTry(container, now);
  const facts = [
    `container ${container.container}`,
    ...(container.mirror === null ? [] : [`mirror ${container.mirror}`]),
    ...(next === undefined ? [] : [`next try ${next}`]),
    ...[why(container) ?? []].flat(),
  ];
  return facts.join("; ");
}

function why({ state, reason, advice, message }: ContainerState): string | undefined {
  const sentence = advice ?? message ?? (state === "repaired" ? "the kubelet will retry" : undefined);
  return [reason, sentence].filter((part) => part !== null && part !== undefined).join(": ") || undefined;
}

function nextTry({ nextTryAt }: ContainerState, now: number): string | undefined {
  if (nextTryAt === null) return undefined;
  const seconds = (Date.parse(nextTryAt) - now) / 1000;
  return seconds <= 0 ? "now" : `in ${spanText(seconds)}`;
}

function mirrorLines(mirrors: readonly MirrorState[], now: number, width: number): string[] {
  const inWords = (state: string, coolingDownUntil: string | null) =>
    state === "cooling-down" && coolingDownUntil !== null
      ? `cooling down, ${spanText((Date.parse(coolingDownUntil) - now) / 1000)} left`
      : state === "failed"
      ? "failed last time, may be retried"
      : state;
  const wide: Table = {
    titles: ["MIRROR", "STATE", "WHY"],
    rows: mirrors.map(({ mirror, state, coolingDownUntil, because }) => (
      { cells: [mirror, inWords(state, coolingDownUntil), because ?? "-"] }
    )),
    shrinkable: [],
    noteColumn: 1,
  };
  if (naturalWidth(wide) <= width) return tableLines(wide, width);
  const rows = wide.rows.map(({ cells: [mirror = "", state = "", because = ""] }) => (
    { cells: [mirror, state], note: because === "-" ? "" : because }
  ));
  return tableLines({ ...wide, titles: ["MIRROR", "STATE"], rows, shrinkable: [0] }, width);
}

function daemonLine({ gilly, pid, startedAt, configFile, totals }: NodeState, now: number): string {
  const started = Date.parse(startedAt);
  const age = Number.isNaN(started) ? "" : ` has run for ${spanText((now - started) / 1000)}`;
  const failed = totals.failed === 1 ? "1 try" : `${totals.failed} tries`;
  return printable(`gilly ${gilly}, pid ${pid},${age} with ${configFile}; ${failed} failed since start`);
}

function podOf({ namespace, pod }: ContainerState): string {
  return `${namespace}/${pod}`;
}

function rank({ state }: ContainerState): number {
  const place = ORDER.indexOf(state);
  return place < 0 ? ORDER.length : place;
}

/** Shortens a digest; twelve digits are enough to distinguish digests on one screen. */
function shortDigest(image: string): string {
  return image.replace(/(@sha256:[0-9a-f]{12})[0-9a-f]{52}$/, "$1…");
}
