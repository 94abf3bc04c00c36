// Config in, wired parts out: the only file that names concrete doors as values, and the only one that reads the clock
// or rolls dice.

import type { Config } from "./config/config.ts";
import { compileExclusions } from "./images/exclusions.ts";
import { compileRules } from "./images/rules.ts";
import { KubeletClient } from "./kubelet/client.ts";
import { log } from "./log/log.ts";
import { Journal } from "./log/messages.ts";
import { MetricsDesk } from "./metrics/exporter.ts";
import { Metrics } from "./metrics/metrics.ts";
import { MirrorPool } from "./mirrors/pool.ts";
import type { Ground, Parts } from "./pass.ts";
import { Attempts } from "./plan/retries.ts";
import { LedgerFile, ledgerLines } from "./record/ledger.ts";
import { Provenance } from "./record/provenance.ts";
import { learn } from "./record/memory.ts";
import { type Recollection, Recorder } from "./record/recorder.ts";
import { Refusals } from "./record/refusals.ts";
import { type Observer, tellAll } from "./repair/observer.ts";
import { Repairs } from "./repair/queue.ts";
import type { RepairTools } from "./repair/repair.ts";
import { DockerRuntime } from "./runtime/docker/client.ts";
import { InstrumentedRuntime } from "./runtime/instrumented.ts";
import { boundedRuntime } from "./runtime/limited.ts";
import type { ImageStore, Runtime } from "./runtime/runtime.ts";
import { Activity } from "./repair/activity.ts";
import type { MirrorFacts } from "./status/node_state.ts";
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

/** What lives as long as the process, and whom it tells of what happens. */
export interface Process extends Ground {
  readonly recorder: Recorder;
  readonly activity: Activity;
  /** One more observer hears of what happens from now on. */
  observe(observer: Observer): void;
}

/** What a process may set apart from the daemon's ways. */
export interface ProcessOptions {
  /** Who hears of everything first; the log unless others are named. */
  readonly observers?: readonly Observer[];
  /** Who wants the images that no pod waits for, in the ledger's words. */
  readonly askedBy?: string;
}

/** Makes what lives as long as the process; `signal` ends every repair. */
export function makeGround(signal: AbortSignal, options: ProcessOptions = {}): Process {
  const observers = [...options.observers ?? [new Journal(log, now)]];
  const observer = tellAll(observers);
  const wallTime = () => now() + wallSkew();
  const recorder = new Recorder({ observer, wallTime, askedBy: options.askedBy ?? "the keep list" });
  const activity = new Activity();
  observers.push(recorder, activity);
  const repairs = new Repairs({ observer, now, random, signal });
  return {
    observer,
    recorder,
    activity,
    repairs,
    now,
    observe: (another) => void observers.push(another),
    async settled() {
      await repairs.drained();
      await recorder.settled();
    },
  };
}

/** Metrics that follow the config. Their package is loaded when a config first wants them: many never do. */
export function makeMetricsDesk(process: Process): MetricsDesk {
  const load = async () => {
    const residentBytes = () => Deno.memoryUsage().rss;
    const build = { version: VERSION, deno: Deno.version.deno };
    const metrics = new Metrics(await import("prom-client"), { ...build, now, residentBytes });
    process.observe(metrics);
    return metrics;
  };
  return new MetricsDesk({ load, say: (level, text) => log(level, "Metrics", text), now });
}

/** Wires the parts for a config. Reads the ledger for what is known of earlier repairs; connects to nothing. */
export async function wire(
  config: Config,
  { observer, recorder, activity }: Process,
  options: { readonly ledger: boolean } = { ledger: true },
): Promise<WiredParts> {
  const engine = new DockerRuntime({
    socket: config.docker.socket,
    noProgressMs: 1000 * config.repair.noProgressSeconds,
  });
  const runtime = new InstrumentedRuntime(boundedRuntime(engine, AT_ONCE), observer, now);
  const client = new KubeletClient(config.kubelet);
  const known = { provenance: new Provenance(), refusals: new Refusals() };
  if (options.ledger) {
    await recall(config.ledger.file, known, observer);
    recorder.follow(new LedgerFile(config.ledger.file, config.ledger), known);
  }
  const mirrors = new MirrorPool({
    settings: config.mirrors,
    concurrency: config.repair.concurrency,
    now,
    random,
    observer,
  });
  const tools = { runtime, mirrors, observer, objection: objectionOf(config, known.provenance, observer) };
  const bench = { tools, attempts: new Attempts(config.repair.backoff) };
  const registries = compileRules(config.registries);
  return {
    config,
    runtime,
    kubelet: { host: config.kubelet.url, pods: (signal) => client.pods(signal) },
    registries,
    exclusions: compileExclusions(config.exclude),
    bench,
    mirrors: {
      hosts: [...new Set(registries.mirrors.map(({ host }) => host))],
      rests: () => mirrors.rests(),
      asked: (name) => activity.mirrorFor(name),
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

/** Learns from the whole ledger, and never holds more than a piece of it. */
async function recall(file: string, known: Recollection, observer: Observer): Promise<void> {
  try {
    for await (const lines of ledgerLines(file)) {
      for (const { entry } of lines) if (entry !== undefined) learn(known, entry);
    }
  } catch (error) {
    observer.ledgerFailed?.(error);
  }
}

function objectionOf(config: Config, provenance: Provenance, observer: Observer): RepairTools["objection"] {
  return (target, candidate, digest) => {
    const oddities = provenance.oddities({ reference: target.name, candidate: candidate.reference, digest });
    for (const { message } of oddities) observer.oddImage?.(message);
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
