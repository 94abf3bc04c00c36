// Filters the ledger by time, pod and image, and formats it as a table.

import { naturalWidth, type Table, tableLines } from "../support/table.ts";
import { counted, several } from "../support/text.ts";
import { localTime, sizeText, tookText } from "../support/units.ts";
import type { LedgerEntry } from "./entry.ts";

/** The filters of a query; an omitted filter matches everything. */
export interface HistoryQuery {
  /** Milliseconds since the epoch. */
  readonly since?: number | undefined;
  /** `NAME` or `NAMESPACE/NAME`; `*` matches anything. */
  readonly pod?: string | undefined;
  /** A part of the image's name, or a pattern for all of it in which `*` matches anything. */
  readonly image?: string | undefined;
}

const SECONDS_IN: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/**
 * Returns the time that `--since` means at `now`, in milliseconds since the epoch: a span such as
 * 30m, 2h or 7d, a date, or an ISO 8601 date and time, which is local without a zone. Returns
 * undefined for anything else.
 */
export function sinceTime(text: string, now: number): number | undefined {
  const [, amount, unit] = /^([0-9]{1,9})([smhdw])$/.exec(text) ?? [];
  if (amount !== undefined && unit !== undefined) return now - 1000 * Number(amount) * SECONDS_IN[unit]!;
  const [, date, time = "00:00:00", zone = ""] =
    /^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)(Z|[+-][0-9]{2}:?[0-9]{2})?)?$/
      .exec(text) ?? [];
  if (date === undefined) return undefined;
  const found = Date.parse(`${date}T${time}${zone.replace(/(?<=[0-9]{2})(?=[0-9]{2}$)/, ":")}`);
  return Number.isNaN(found) ? undefined : found;
}

/** Merges ledgers, each of which is in the order of time, into one that is. */
export async function* inOrder(ledgers: readonly AsyncIterable<LedgerEntry>[]): AsyncGenerator<LedgerEntry> {
  const heads = await Promise.all(ledgers.map(async (ledger) => {
    const rest = ledger[Symbol.asyncIterator]();
    return { rest, next: await rest.next() };
  }));
  for (;;) {
    const [first] = heads.filter(({ next }) => !next.done).toSorted((left, right) => timeOf(left) - timeOf(right));
    if (first === undefined) return;
    yield first.next.value;
    first.next = await first.rest.next();
  }
}

/** An unreadable time comes at once, so that it delays no other entry. */
function timeOf({ next }: { readonly next: IteratorResult<LedgerEntry> }): number {
  return Date.parse(next.value?.time) || 0;
}

/** Returns a predicate that tests entries against a query. */
export function historyFilter({ since, pod, image }: HistoryQuery): (entry: LedgerEntry) => boolean {
  const isImage = image === undefined ? undefined : textTest(image);
  return (entry) => {
    // An entry with an unreadable time is shown.
    if (since !== undefined && Date.parse(entry.time) < since) return false;
    if (pod !== undefined && !entry.pods.some((name) => isPod(name, pod))) return false;
    const { image: asked, reference, candidate } = entry;
    return isImage === undefined || [asked, reference, candidate].some((name) => name !== undefined && isImage(name));
  };
}

/** Returns the lines of the table. Pods that match the query come first in their rows. */
export function historyLines(entries: readonly LedgerEntry[], { pod }: HistoryQuery, width: number): string[] {
  const wide: Table = {
    titles: ["WHEN", "RESULT", "IMAGE", "PODS", "FROM", "DIGEST", "SIZE", "TOOK", "WHY"],
    rows: entries.map((entry) => ({ cells: wideCells(entry, pod) })),
    shrinkable: [],
    noteColumn: 0,
  };
  if (naturalWidth(wide) <= width) return tableLines(wide, width);
  return tableLines({
    titles: ["WHEN", "RESULT", "IMAGE"],
    rows: entries.map((entry) => (
      { cells: [localTime(entry.time), entry.result, entry.image], note: noteOn(entry, pod) }
    )),
    shrinkable: [2],
    noteColumn: 1,
  }, width);
}

function wideCells(entry: LedgerEntry, pod: string | undefined): string[] {
  const { time, result, image, mirror, candidate, digest, bytes, seconds } = entry;
  return [
    localTime(time),
    result,
    image,
    podsText(entry, pod),
    mirror ?? candidate ?? "-",
    digest === undefined ? "-" : shortDigest(digest),
    bytes === undefined ? "-" : sizeText(bytes),
    seconds === undefined ? "-" : tookText(seconds),
    why(entry) || "-",
  ];
}

function noteOn(entry: LedgerEntry, pod: string | undefined): string {
  const { mirror, candidate, digest, bytes, seconds } = entry;
  const from = mirror ?? candidate;
  const took = seconds === undefined || bytes === undefined ? [] : [`${sizeText(bytes)} in ${tookText(seconds)}`];
  const delivery = [
    ...(from === undefined ? [] : [`from ${from}`]),
    ...(digest === undefined ? [] : [shortDigest(digest)]),
    ...took,
  ];
  return [podsText(entry, pod), delivery.join(", "), why(entry)].filter((part) => part !== "").join("; ");
}

function why({ reason, advice, message, resumed = 0 }: LedgerEntry): string {
  const continued = resumed === 0 ? undefined : `${counted(resumed, "layer")} continued by another mirror`;
  return [reason, advice ?? message ?? continued].filter((part) => part !== undefined).join(": ");
}

/**
 * The pods, or what else requested the image. Older entries do not distinguish the keep list from
 * `gilly pull`.
 */
function podsText({ pods, askedBy = "keep list or gilly pull" }: LedgerEntry, wanted: string | undefined): string {
  const asked = (name: string) => wanted !== undefined && isPod(name, wanted) ? 0 : 1;
  const sorted = pods.toSorted((left, right) => asked(left) - asked(right));
  return sorted.length === 0 ? askedBy : several(sorted);
}

function isPod(name: string, wanted: string): boolean {
  return wildcard(wanted)(wanted.includes("/") ? name : name.slice(name.indexOf("/") + 1));
}

function textTest(wanted: string): (text: string) => boolean {
  return wanted.includes("*") ? wildcard(wanted) : (text) => text.includes(wanted);
}

/**
 * Returns a predicate for texts that match the complete pattern; its time is at most proportional
 * to the product of both lengths.
 */
function wildcard(pattern: string): (text: string) => boolean {
  const [first = "", ...others] = pattern.split("*");
  const last = others.pop();
  if (last === undefined) return (text) => text === pattern;
  return (text) => {
    if (!text.startsWith(first)) return false;
    let at = first.length;
    for (const part of others) {
      const found = text.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return text.length - last.length >= at && text.endsWith(last);
  };
}

function shortDigest(digest: string): string {
  return digest.replace(/^(sha256:[0-9a-f]{12})[0-9a-f]+$/, "$1");
}
