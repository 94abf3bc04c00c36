// What the process has learned. It outlives a config: a reload forgets only what the new config
// invalidates.

import { isWithin, parseLocation } from "../images/location.ts";
import { parseReference } from "../images/reference.ts";
import { type Candidate, matchRule, mirrorHosts, type RegistryMap } from "../images/rules.ts";
import { Cooldowns } from "../mirrors/cooldown.ts";
import type { Outcome } from "../plan/outcome.ts";
import { type Backoff, RetrySchedule } from "../plan/retries.ts";
import type { LedgerEntry } from "./entry.ts";
import { Provenance } from "./provenance.ts";
import { Refusals } from "./refusals.ts";

/** Filled by repairs and mirrors as they run, and from earlier entries of the ledger. */
export interface Memory {
  /** When to retry images that pods wait for. */
  readonly retries: RetrySchedule;
  /** When to retry images of the `keep` list. */
  readonly keptRetries: RetrySchedule;
  readonly cooldowns: Cooldowns;
  readonly provenance: Provenance;
  readonly refusals: Refusals;
}

/** The part of a config that cool-downs depend on. */
export interface MirrorTerms {
  readonly registries: RegistryMap;
  /** The settings of mirrors, by host. */
  readonly config: { readonly mirrors: Readonly<Record<string, unknown>> };
}

/** The part of a config that the memory depends on. */
export interface MemoryTerms extends MirrorTerms {
  readonly config: MirrorTerms["config"] & {
    readonly repair: { readonly backoff: Backoff };
    readonly runtime: { readonly kind: string; readonly socket: string };
  };
}

/** Returns an empty memory. */
export function emptyMemory(backoff: Backoff): Memory {
  return {
    retries: new RetrySchedule(backoff),
    keptRetries: new RetrySchedule(backoff),
    cooldowns: new Cooldowns(),
    provenance: new Provenance(),
    refusals: new Refusals(),
  };
}

/** Learns from one entry of the ledger. */
export function learn({ provenance, refusals }: Pick<Memory, "provenance" | "refusals">, entry: LedgerEntry): void {
  const { result, reference, candidate, digest } = entry;
  if ((result === "repaired" || result === "served") && reference && candidate && digest) {
    provenance.learn({ reference, candidate, digest });
  }
  refusals.learn(entry);
}

/**
 * Applies a new config. Back-off and cool-downs are kept, except for mirrors that are gone or whose
 * settings changed, and for images whose candidates changed. Images that were denied are retried at
 * once: a reload often follows a fix of a mirror's credentials, whose file may have kept its name.
 * Another runtime starts over: it has other images, and may reach what the first one could not.
 */
export function carryOver(memory: Memory, before: MemoryTerms, after: MemoryTerms): void {
  const isChanged = changedMirrors(before, after);
  const isElsewhere = JSON.stringify(before.config.runtime) !== JSON.stringify(after.config.runtime);
  if (isElsewhere) memory.cooldowns.forgetIf(() => true);
  else keepCooldowns(memory.cooldowns, before, after);
  const isStale = (name: string, last: Outcome, candidates: readonly Candidate[]) =>
    isElsewhere || (last.result === "failed" && last.reason === "denied") || candidates.some(({ mirror }) =>
      isChanged(mirror)
    ) ||
    repositoriesOf(candidates) !== repositoriesOf(candidatesOf(after, name));
  for (const retries of [memory.retries, memory.keptRetries]) {
    retries.forgetIf(isStale);
    retries.changeBackoff(after.config.repair.backoff);
  }
}

/**
 * Keeps cool-downs, except of mirrors that are gone or whose settings changed, and of paths at which
 * no rule has images any more.
 */
export function keepCooldowns(cooldowns: Cooldowns, before: MirrorTerms, after: MirrorTerms): void {
  const isChanged = changedMirrors(before, after);
  cooldowns.forgetIf((scope) => {
    const { host, path } = parseLocation(scope);
    if (isChanged(host)) return true;
    return path !== "" && !after.registries.mirrors.some((it) => it.host === host && isWithin(path, it.path));
  });
}

function changedMirrors(before: MirrorTerms, after: MirrorTerms): (host: string) => boolean {
  const hosts = mirrorHosts(after.registries);
  const settingsOf = ({ config }: MirrorTerms, host: string) => JSON.stringify(config.mirrors[host]);
  return (host) => !hosts.includes(host) || settingsOf(before, host) !== settingsOf(after, host);
}

function candidatesOf({ registries }: MemoryTerms, name: string): readonly Candidate[] {
  const match = matchRule(registries, parseReference(name));
  return match.rule === undefined ? [] : match.candidates;
}

function repositoriesOf(candidates: readonly Candidate[]): string {
  return candidates.map(({ repository }) => repository).join(" ");
}
