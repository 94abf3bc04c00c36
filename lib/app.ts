// Config in, wired parts out: the only file that names concrete doors as values, and the only one that reads the clock
// or rolls dice.

import { Attempts } from "./attempts.ts";
import type { Config } from "./config.ts";
import type { Ground, Parts } from "./cycle.ts";
import { boundedRuntime } from "./bounded_runtime.ts";
import { compileExclusions } from "./exclude.ts";
import { Journal } from "./journal.ts";
import { KubeletClient } from "./kubelet.ts";
import { type Ledger, LedgerFile, noLedger, readLedger } from "./ledger.ts";
import { log } from "./log.ts";
import { Mirrors } from "./mirror_desk.ts";
import { Provenance } from "./provenance.ts";
import { compileRules } from "./registry_map.ts";
import type { RepairTools } from "./repair.ts";
import { Repairs } from "./repairs.ts";
import { DockerRuntime } from "./runtime/docker.ts";
import type { ImageStore, Runtime } from "./runtime/runtime.ts";

/** Parts that hold connections. */
export interface WiredParts extends Parts {
  readonly config: Config;
  readonly runtime: Runtime;
  events: Runtime["events"];
  close(): void;
}

/** Looks and tags that the Engine gets at once. */
const CALLS_AT_ONCE = 16;

/** Milliseconds since the epoch. */
export function now(): number {
  return Date.now();
}

/** A number in [0, 1). */
export function random(): number {
  return Math.random();
}

/** What lives as long as the process; `signal` ends every repair. */
export function makeGround(signal: AbortSignal): Ground {
  const journal = new Journal(log, now);
  return { journal, repairs: new Repairs({ listener: journal, now, random, signal }), now };
}

/** Wires the parts for a config. Reads the ledger for what is known of earlier repairs; connects to nothing. */
export async function wire(config: Config, { journal }: Ground, options = { ledger: true }): Promise<WiredParts> {
  const runtime = boundedRuntime(
    new DockerRuntime({ socket: config.docker.socket, noProgressMs: 1000 * config.repair.noProgressSeconds }),
    CALLS_AT_ONCE,
  );
  const client = new KubeletClient(config.kubelet);
  const ledger = options.ledger ? new LedgerFile(config.ledger.file) : noLedger;
  const provenance = options.ledger ? await provenanceFrom(config, journal) : new Provenance();
  const mirrors = new Mirrors({
    settings: config.mirrors,
    concurrency: config.repair.concurrency,
    now,
    random,
    onRest: (mirror, rest) => journal.mirrorRests(mirror, rest),
    onWake: (mirror) => journal.mirrorWakes(mirror),
    onAuthProblem: (mirror, problem) => journal.authProblem(mirror, problem),
  });
  const attempts = new Attempts(config.repair.backoff);
  const tools = { runtime, mirrors, listener: journal, objection: objectionOf(config, provenance, journal) };
  const bench = { tools, attempts, ledger: learning(ledger, provenance) };
  return {
    config,
    runtime,
    kubelet: { host: config.kubelet.url, pods: (signal) => client.pods(signal) },
    registries: compileRules(config.registries),
    exclusions: compileExclusions(config.exclude),
    bench,
    keep: { images: config.keep, bench: { ...bench, attempts: new Attempts(config.repair.backoff) } },
    imageStore: rememberedImageStore(runtime),
    eager: config.repair.mode === "eager",
    events: (options) => runtime.events(options),
    close() {
      client.close();
      runtime.close();
    },
  };
}

async function provenanceFrom(config: Config, journal: Journal): Promise<Provenance> {
  const provenance = new Provenance();
  try {
    const { entries } = await readLedger(config.ledger.file);
    for (const { result, reference, candidate, digest } of entries) {
      if (result === "repaired" && reference && candidate && digest) provenance.learn({ reference, candidate, digest });
    }
  } catch (error) {
    journal.ledgerFailed(error);
  }
  return provenance;
}

function learning(ledger: Ledger, provenance: Provenance): Ledger {
  return {
    append(entry) {
      const { result, reference, candidate, digest } = entry;
      if (result === "repaired" && reference && candidate && digest) {
        provenance.learn({ reference, candidate, digest });
      }
      return ledger.append(entry);
    },
  };
}

function objectionOf(config: Config, provenance: Provenance, journal: Journal): RepairTools["objection"] {
  return (target, candidate, digest) => {
    const oddities = provenance.oddities({ reference: target.name, candidate: candidate.reference, digest });
    for (const { message } of oddities) journal.oddImage(message);
    const changed = oddities.find(({ kind }) => kind === "digest-changed");
    return config.repair.onDigestChange === "refuse" && changed ? `refused: ${changed.message}` : undefined;
  };
}

/** The Engine keeps its store for as long as it runs, but may come back with another; asked anew after each failure. */
function rememberedImageStore(runtime: Runtime): (signal: AbortSignal) => Promise<ImageStore | undefined> {
  let known: { store: ImageStore; at: number } | undefined;
  return async (signal) => {
    if (known !== undefined && now() - known.at < 60_000) return known.store;
    try {
      known = { store: (await runtime.info(signal)).imageStore, at: now() };
    } catch {
      signal.throwIfAborted();
      known = undefined;
    }
    return known?.store;
  };
}
