// `gilly history`: the ledger as a table, or as JSON.

import { loadConfigText } from "../config/config.ts";
import { DEFAULT_LEDGER, DEFAULT_PROXY_LEDGER } from "../config/keys.ts";
import type { LedgerEntry } from "../record/entry.ts";
import { historyFilter, historyLines, type HistoryQuery, inOrder, sinceTime } from "../record/history.ts";
import { ledgerLines } from "../record/ledger.ts";
import { systemClock } from "../support/clock.ts";
import { describeError, EXIT, UsageError } from "../support/errors.ts";
import { counted, printableJson, quote } from "../support/text.ts";
import type { Arguments, Command, Output } from "./command_line.ts";
import { sizeOf } from "./environment.ts";
import { CONFIG_FLAG, configFileOf, JSON_FLAG, warn } from "./flags.ts";

export const historyCommand: Command = {
  name: "history",
  summary: "what was repaired or refused on this node, from the ledger",
  description: [
    "Prints every entry of the ledger and its rotated files, and of the registry",
    "proxy's, oldest first: when, the result, the image, its pods, the mirror it",
    "came from, digest, size and how long it took. In --pod and --image a * matches",
    "anything; without one, --image matches any part of a name.",
  ].join("\n"),
  example: "gilly history --since 2h --pod kube-system/coredns-*",
  flags: [
    CONFIG_FLAG,
    { name: "ledger", value: "FILE", help: "only this ledger (default: the two that the config names)" },
    { name: "since", value: "TIME", help: "only entries after TIME: 30m, 2h, 7d, 2026-11-01, 2026-11-01T12:00:00Z" },
    { name: "pod", value: "POD", help: "only entries of this pod: NAME or NAMESPACE/NAME" },
    { name: "image", value: "IMAGE", help: "only entries of images with this in their name" },
    JSON_FLAG,
  ],
  async run(args, output) {
    const query = queryOf(args);
    const odd = { unreadable: 0, newer: 0 };
    const files = await ledgerFilesOf(args).catch(refuseStranger);
    const entries = inOrder(files.map((file) => matching(file, query, odd)));
    const printed = args.flags.json === true
      ? printJson(entries, output)
      : printTable(entries, files[0]!, query, output);
    await printed.catch(refuseStranger);
    const named = files.join(", ");
    if (odd.unreadable > 0) warn(`${named}: skipped ${counted(odd.unreadable, "line")} that cannot be read`);
    if (odd.newer > 0) warn(`${named}: ${counted(odd.newer, "line")} of a newer Gilly may not be shown in full`);
    return EXIT.ok;
  },
};

function queryOf({ flags }: Arguments): HistoryQuery {
  const text = (name: string) => typeof flags[name] === "string" ? flags[name] : undefined;
  const since = text("since");
  const time = since === undefined ? undefined : sinceTime(since, systemClock.wallTime());
  if (since !== undefined && time === undefined) {
    const expected = "a span such as 30m, 2h or 7d, or a time such as 2026-11-01 or 2026-11-01T12:00:00Z";
    throw new UsageError(`--since requires ${expected}, got ${quote(since)}`);
  }
  return { since: time, pod: text("pod"), image: text("image") };
}

// Only the paths of the ledgers are needed: missing certificates, or a missing default config, must
// not prevent showing them.
async function ledgerFilesOf(args: Arguments): Promise<readonly string[]> {
  if (typeof args.flags.ledger === "string") return [args.flags.ledger];
  const file = configFileOf(args);
  try {
    const { ledger, proxy } = await loadConfigText(file);
    return [ledger.file, proxy.ledgerFile];
  } catch (error) {
    const missing = error instanceof Error && error.cause instanceof Deno.errors.NotFound;
    if (!missing || args.flags.config !== undefined) throw error;
    return [DEFAULT_LEDGER, DEFAULT_PROXY_LEDGER];
  }
}

function refuseStranger(error: unknown): never {
  const denied = [error, error instanceof Error ? error.cause : undefined].some((it) =>
    it instanceof Deno.errors.PermissionDenied
  );
  if (!denied) throw error;
  throw new Error(`${describeError(error)}; run it as root: sudo gilly history`, {
    cause: error,
  });
}

async function* matching(file: string, query: HistoryQuery, odd: { unreadable: number; newer: number }) {
  const matches = historyFilter(query);
  for await (const lines of ledgerLines(file)) {
    for (const { entry, newer } of lines) {
      if (newer) odd.newer++;
      else if (entry === undefined) odd.unreadable++;
      if (entry !== undefined && matches(entry)) yield entry;
    }
  }
}

async function printTable(entries: AsyncIterable<LedgerEntry>, file: string, query: HistoryQuery, output: Output) {
  const found = await Array.fromAsync(entries);
  if (found.length > 0) {
    for (const line of historyLines(found, query, sizeOf(Deno.stdout)?.columns ?? Infinity)) output.write(`${line}\n`);
    return;
  }
  const asked = Object.values(query).some((it) => it !== undefined);
  output.write(asked ? `Nothing in ${file} matches.\n` : `${file} has no entries.\n`);
}

async function printJson(entries: AsyncIterable<LedgerEntry>, output: Output): Promise<void> {
  let before = "[";
  for await (const entry of entries) {
    output.write(`${before}\n${printableJson(entry)}`);
    before = ",";
  }
  output.write(before === "[" ? "[]\n" : "\n]\n");
}
