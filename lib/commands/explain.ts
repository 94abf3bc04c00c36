// `gilly explain`: what Gilly does with an image, and why: the line of the config that decides, the
// candidates, the local image, and what the ledger has. Pulls nothing and contacts no mirror.

import { openNode, openProcess } from "../app.ts";
import type { Config } from "../config/config.ts";
import { type KeyStep, locateKeys } from "../config/positions.ts";
import { outsideInWords, usesCredentials } from "../images/auth_paths.ts";
import { formatReference } from "../images/reference.ts";
import type { Candidate } from "../images/rules.ts";
import { AuthFile } from "../mirrors/credentials.ts";
import type { NodeContext } from "../pass.ts";
import { decide, type Decision, isRefusal, localName } from "../plan/plan.ts";
import type { LedgerEntry } from "../record/entry.ts";
import { ledgerLines } from "../record/ledger.ts";
import { describeError, EXIT, UsageError } from "../support/errors.ts";
import { hangingIndent, printable, printableJson } from "../support/text.ts";
import { localTime } from "../support/units.ts";
import type { Command, Output } from "./command_line.ts";
import { sizeOf } from "./environment.ts";
import { CONFIG_FLAG, JSON_FLAG, readConfigText } from "./flags.ts";

/** What `explain --json` prints for each image. */
export interface Explanation {
  /** The image as given. */
  readonly image: string;
  /** The normalized reference, or null if no registry can have an image of this name. */
  readonly reference: string | null;
  /** The origin of the matching rule, or null. */
  readonly rule: string | null;
  /** The line of that rule in the config. */
  readonly line: number | null;
  /** The key of the config that decides, and its line; null if no key does. */
  readonly decides: { readonly key: string; readonly line: number | null } | null;
  /** The full references at the mirrors, in order. */
  readonly candidates: readonly string[];
  /**
   * How each would be pulled: with the credentials of which file, or why without any; null without
   * an authFile.
   */
  readonly credentials: readonly (string | null)[];
  /** Set if the image cannot be repaired. */
  readonly reason?: string;
  readonly advice?: string;
  /**
   * Whether the runtime's own pull of this registry is led to the registry proxy; null if the proxy
   * would not serve it, or the registry cannot be redirected.
   */
  readonly proxy: "leads-there" | "off" | null;
  /** What the runtime has under this name; null without a reference. */
  readonly local: Local | null;
  /** What the ledger has about it; null without a reference. */
  readonly ledger: Remembered | null;
}

/** What the runtime has under a name. `names` are all names of the image, tags first. */
type Local =
  | { readonly state: "present"; readonly id: string; readonly names: readonly string[] }
  | { readonly state: "absent" }
  | { readonly state: "unknown"; readonly because: string };

/** The ledger's entries about an image. */
type Remembered =
  | { readonly entries: number; readonly last: LedgerEntry | null }
  | { readonly entries: null; readonly because: string };

export const explainCommand: Command = {
  name: "explain",
  operands: "IMAGE…",
  summary: "the rule that matches, what is local, what the ledger knows",
  description: [
    "Prints for each image its normalized reference, the line of the config that",
    "decides, and the references that would be pulled, in order; or why it cannot be",
    "repaired. Then whether the runtime's own pull is led to the registry proxy,",
    "what the runtime has under that name, and what the ledgers know about it.",
    "Nothing is pulled and no mirror is contacted.",
  ].join("\n"),
  example: "gilly explain gcr.io/sgryczan/ansible-runner:0.0.0",
  flags: [CONFIG_FLAG, JSON_FLAG],
  async run(args, output) {
    if (args.words.length === 0) {
      throw new UsageError("gilly explain requires at least one IMAGE; see gilly explain --help");
    }
    const config = await readConfigText(args, "explain");
    const { signal } = new AbortController();
    const node = await openNode(config, openProcess(config, { signal, observers: [] }), { ledger: false });
    try {
      const lineOf = locateKeys(await Deno.readTextFile(config.file));
      const explanations = await Promise.all(args.words.map((image) => explain(image, node, lineOf, signal)));
      if (args.flags.json === true) output.write(`${printableJson(explanations, 2)}\n`);
      else for (const explanation of explanations) print(explanation, config, output);
      return EXIT.ok;
    } finally {
      node.close();
    }
  },
};

type LineOf = (path: readonly KeyStep[]) => number | undefined;

async function explain(
  image: string,
  node: NodeContext<Config>,
  lineOf: LineOf,
  signal: AbortSignal,
): Promise<Explanation> {
  const canAliasDigest = image.includes("@") ? await node.canAliasDigest(signal) : undefined;
  const redirected = await node.redirectedHosts();
  const decision = decide(image, { ...node, canAliasDigest, redirected });
  const { reference, match, planned } = decision;
  const name = reference === undefined ? undefined : localName(reference);
  return {
    image,
    reference: reference === undefined ? null : formatReference(reference),
    rule: match?.rule?.origin ?? null,
    line: match?.rule?.line ?? null,
    decides: decidingKey(decision, node.config, lineOf),
    ...(isRefusal(planned) ? { candidates: [], credentials: [], reason: planned.reason, advice: planned.advice } : {
      candidates: planned.candidates.map((candidate) => candidate.reference),
      credentials: await Promise.all(planned.candidates.map((candidate) => credentialsOf(candidate, node.config))),
    }),
    proxy: match?.rule === undefined || reference === undefined || decision.excludedBy !== undefined
      ? null
      : proxyFor(reference.domain, redirected, node.config),
    local: name === undefined ? null : await localImage(name, node, signal),
    ledger: name === undefined ? null : await remembered(name, image, node.config),
  };
}

async function credentialsOf({ mirror, reference }: Candidate, { mirrors }: Config): Promise<string | null> {
  const settings = mirrors[mirror];
  if (settings?.authFile === undefined) return null;
  if (!usesCredentials(mirror, settings, reference)) {
    return `without credentials: ${outsideInWords(mirror, reference)}`;
  }
  // Other problems of the file are for `check`: who runs this may not be able to read it.
  const found = await new AuthFile(settings.authFile, mirror).read(reference);
  return "uncovered" in found
    ? `without credentials: ${found.uncovered}`
    : `with the credentials of ${settings.authFile}`;
}

function proxyFor(host: string, redirected: ReadonlySet<string>, { proxy }: Config): Explanation["proxy"] {
  if (redirected.has(host)) return "leads-there";
  return proxy.hosts.includes(host) ? "off" : null;
}

function decidingKey({ excludedBy, match }: Decision, config: Config, lineOf: LineOf): Explanation["decides"] {
  if (match === undefined) return null;
  if (excludedBy !== undefined) {
    const index = config.exclude.images.indexOf(excludedBy);
    return { key: `exclude.images[${index}]`, line: lineOf(["exclude", "images", index]) ?? null };
  }
  const rule = match.rule ?? (match.because === "is-mirror" ? match.mirrorOf : undefined);
  if (rule === undefined) return { key: "registries", line: lineOf(["registries"]) ?? null };
  return { key: `registries.${JSON.stringify(rule.origin)}`, line: rule.line ?? null };
}

async function localImage(name: string, { runtime }: NodeContext<Config>, signal: AbortSignal): Promise<Local> {
  try {
    const image = await runtime.inspect(name, signal);
    if (image === undefined) return { state: "absent" };
    return { state: "present", id: image.id, names: [...image.tags, ...image.digests] };
  } catch (error) {
    return { state: "unknown", because: describeError(error) };
  }
}

async function remembered(name: string, image: string, { ledger, proxy }: Config): Promise<Remembered> {
  let entries = 0;
  let last: LedgerEntry | null = null;
  try {
    for (const file of [ledger.file, proxy.ledgerFile]) {
      for await (const lines of ledgerLines(file)) {
        for (const { entry } of lines) {
          if (entry === undefined || (entry.reference ?? entry.image) !== (entry.reference ? name : image)) continue;
          entries++;
          if (last === null || Date.parse(entry.time) >= Date.parse(last.time)) last = entry;
        }
      }
    }
    return { entries, last };
  } catch (error) {
    return { entries: null, because: describeError(error) };
  }
}

function print(explanation: Explanation, { file }: Config, output: Output): void {
  const { image, reference, rule, decides, candidates, reason, advice, proxy, local, ledger } = explanation;
  const width = sizeOf(Deno.stdout)?.columns;
  const row = (title: string, text: string) => {
    const lines = hangingIndent(`  ${title.padEnd(10)}  `, printable(text), width);
    output.write(lines.map((line) => `${line}\n`).join(""));
  };
  output.write(`${printable(image)}\n`);
  if (reference !== null) row("reference", reference);
  if (rule !== null) row("rule", rule);
  if (decides !== null) row("decided by", `${file}${decides.line === null ? "" : `:${decides.line}`}: ${decides.key}`);
  for (const [index, candidate] of candidates.entries()) {
    const how = explanation.credentials[index] ?? null;
    row(index === 0 ? "candidates" : "", `${index + 1}. ${candidate}${how === null ? "" : `, ${how}`}`);
  }
  if (reason !== undefined) row("no repair", `${reason}: ${advice}`);
  if (proxy === "leads-there") row("proxy", "the runtime's own pull is led to the registry proxy, by the same rules");
  if (proxy === "off") row("proxy", "off: the registry proxy could serve the runtime's own pull (gilly-setup --proxy)");
  if (local !== null) row("local", localText(local));
  if (ledger !== null) row("ledger", ledgerText(ledger));
}

function localText(local: Local): string {
  switch (local.state) {
    case "present":
      return [`present, ${local.id}`, ...local.names].join(", ");
    case "absent":
      return "absent";
    case "unknown":
      return `unknown: ${local.because}`;
  }
}

function ledgerText(ledger: Remembered): string {
  if (ledger.entries === null) return `unknown: ${ledger.because}`;
  const { entries, last } = ledger;
  if (last === null) return "nothing about this image";
  const from = last.candidate === undefined ? "" : ` from ${last.candidate}`;
  const why = [last.reason, last.message].filter((text) => text !== undefined).map((text) => `: ${text}`).join("");
  const count = entries === 1 ? "1 entry" : `${entries} entries, the last`;
  return `${count}: ${last.result}${from} at ${localTime(last.time)}${why}`;
}
