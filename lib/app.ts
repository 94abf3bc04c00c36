// Config in, wired parts out: the only file that names concrete doors as values, and the only one that reads the clock
// or rolls dice.

import type { Config } from "./config/config.ts";
import { compileExclusions } from "./images/exclusions.ts";
import { compileRules } from "./images/rules.ts";
import { KubeletClient } from "./kubelet/client.ts";
import { log } from "./log/log.ts";
import { Journal } from "./log/messages.ts";
import { CountingJournal } from "./metrics/counting_journal.ts";
import { MetricsDesk } from "./metrics/exporter.ts";
import { Metrics } from "./metrics/metrics.ts";
import { MirrorPool } from "./mirrors/pool.ts";
import type { Ground, Parts } from "./pass.ts";
import { Attempts } from "./plan/retries.ts";
import { type Ledger, type LedgerEntry, LedgerFile, ledgerLines, noLedger } from "./record/ledger.ts";
import { Provenance } from "./record/provenance.ts";
import { Refusals } from "./record/refusals.ts";
import { AskedMirrors } from "./repair/asked_mirrors.ts";
import { Repairs } from "./repair/queue.ts";
import type { RepairTools } from "./repair/repair.ts";
import { DockerRuntime } from "./runtime/docker/client.ts";
import { InstrumentedRuntime } from "./runtime/instrumented.ts";
import { boundedRuntime } from "./runtime/limited.ts";
import type { ImageStore, Runtime, Silence } from "./runtime/runtime.ts";
import type { MirrorFacts } from "./status/node_state.ts";
import { entryOnTheWall } from "./status/wall_clock.ts";
import { VERSION } from "./version.ts";

/** Parts that hold connections. */
export interface WiredParts extends Parts {
  readonly config: Config;
  readonly runtime: InstrumentedRuntime;
  events: Runtime["events"];
  readonly mirrors: MirrorFacts;
  close(): void;
}

/** What the Engine is asked at once, besides pulls. */
const AT_ONCE = { calls: 16, lookUps: 48 };

/**
 * Milliseconds since the epoch by a clock that nobody can set: right when the program began, and steady from then on. A
 * rest of seconds must not become one of a day when the host's clock is put right.
 */
export function now(): number {
  return Math.round(performance.timeOrigin + performance.now());
}

/** Milliseconds by which the clock on the wall is ahead of `now`, in whole seconds; see lib/status/wall_clock.ts. */
export function wallSkew(): number {
  return 1000 * Math.round((Date.now() - now()) / 1000);
}

/** A number in [0, 1). */
export function random(): number {
  return Math.random();
}

/** What lives as long as the process; `signal` ends every repair, and the desk's metrics count what is said. */
export function makeGround(signal: AbortSignal, metrics?: MetricsDesk): Ground {
  const journal = metrics === undefined ? new Journal(log, now) : new CountingJournal(log, now, metrics);
  return { journal, repairs: new Repairs({ listener: journal, now, random, signal }), now };
}

/** Metrics that follow the config. Their package is loaded when a config first wants them: many never do. */
export function makeMetricsDesk(): MetricsDesk {
  const load = async () => {
    const residentBytes = () => Deno.memoryUsage().rss;
    return new Metrics(await import("prom-client"), { version: VERSION, deno: Deno.version.deno, now, residentBytes });
  };
  return new MetricsDesk({ load, say: (level, text) => log(level, "Metrics", text), now });
}

/** What a wiring may leave out. */
export interface WireOptions {
  readonly ledger: boolean;
  /** Whose meter hears the Engine. */
  readonly metrics?: MetricsDesk;
}

/** Wires the parts for a config. Reads the ledger for what is known of earlier repairs; connects to nothing. */
export async function wire(
  config: Config,
  { journal }: Ground,
  options: WireOptions = { ledger: true },
): Promise<WiredParts> {
  const engine = new DockerRuntime({
    socket: config.docker.socket,
    noProgressMs: 1000 * config.repair.noProgressSeconds,
  });
  const observer = {
    runtimeSilent: (silence: Silence) => journal.runtimeSilent(silence),
    runtimeAnswers: () => journal.runtimeAnswers(),
    ...options.metrics?.meter,
  };
  const runtime = new InstrumentedRuntime(boundedRuntime(engine, AT_ONCE), observer, now);
  const client = new KubeletClient(config.kubelet);
  const ledger = options.ledger ? new LedgerFile(config.ledger.file, config.ledger) : noLedger;
  const memory = { provenance: new Provenance(), refusals: new Refusals() };
  if (options.ledger) await recall(config.ledger.file, memory, journal);
  const mirrors = new MirrorPool({
    settings: config.mirrors,
    concurrency: config.repair.concurrency,
    now,
    random,
    onRest: (mirror, rest) => journal.mirrorRests(mirror, rest),
    onWake: (mirror) => journal.mirrorWakes(mirror),
    onAuthProblem: (mirror, problem) => journal.authProblem(mirror, problem),
  });
  const attempts = new Attempts(config.repair.backoff);
  const listener = new AskedMirrors(journal);
  const tools = { runtime, mirrors, listener, objection: objectionOf(config, memory.provenance, journal) };
  const bench = { tools, attempts, ledger: learning(ledger, memory) };
  const registries = compileRules(config.registries);
  return {
    config,
    runtime,
    kubelet: { host: config.kubelet.url, pods: (signal) => client.pods(signal) },
    registries,
    exclusions: compileExclusions(config.exclude),
    bench,
    refusals: memory.refusals,
    mirrors: {
      hosts: [...new Set(registries.mirrors.map(({ host }) => host))],
      rests: () => mirrors.rests(),
      asked: (name) => listener.of(name),
    },
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

/** What is known of earlier repairs and refusals. */
interface Memory {
  readonly provenance: Provenance;
  readonly refusals: Refusals;
}

/** Learns from the whole ledger, and never holds more than a piece of it. */
async function recall(file: string, memory: Memory, journal: Journal): Promise<void> {
  try {
    for await (const lines of ledgerLines(file)) {
      for (const { entry } of lines) if (entry !== undefined) learn(memory, entry);
    }
  } catch (error) {
    journal.ledgerFailed(error);
  }
}

function learn({ provenance, refusals }: Memory, entry: LedgerEntry): void {
  const { result, reference, candidate, digest } = entry;
  if (result === "repaired" && reference && candidate && digest) provenance.learn({ reference, candidate, digest });
  refusals.learn(entry);
}

function learning(ledger: Ledger, memory: Memory): Ledger {
  return {
    append(entry) {
      const told = entryOnTheWall(entry, wallSkew());
      learn(memory, told);
      return ledger.append(told);
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
