// Opens what the config names: the only file that makes adapters, and the only one that rolls dice.

import type { Config } from "./config/config.ts";
import { compileExclusions } from "./images/exclusions.ts";
import { compileRules } from "./images/rules.ts";
import { KubeletClient } from "./kubelet/client.ts";
import { log } from "./log/log.ts";
import { LogMessages } from "./log/messages.ts";
import { MetricsExporter } from "./metrics/exporter.ts";
import { Metrics } from "./metrics/metrics.ts";
import { MirrorPool } from "./mirrors/pool.ts";
import type { NodeContext, ProcessContext } from "./pass.ts";
import { LedgerFile, ledgerLines } from "./record/ledger.ts";
import { carryOver, emptyMemory, learn } from "./record/memory.ts";
import type { Provenance } from "./record/provenance.ts";
import { Recorder } from "./record/recorder.ts";
import { Activity } from "./repair/activity.ts";
import { type Observer, tellAll } from "./repair/observer.ts";
import { Repairs } from "./repair/queue.ts";
import type { Veto } from "./repair/repair.ts";
import { InstrumentedRuntime } from "./runtime/instrumented.ts";
import { boundedRuntime } from "./runtime/limited.ts";
import { openRuntime } from "./runtime/open.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { type Clock, systemClock } from "./support/clock.ts";
import { VERSION } from "./version.ts";

/** What the runtime is asked at once, besides pulls. */
const AT_ONCE = { calls: 16, resolves: 48 };

/** The daemon's process, and one that differs from it. */
export interface ProcessOptions {
  /** Ends every repair. */
  readonly signal: AbortSignal;
  /** Who hears of everything first; the log unless others are named. */
  readonly observers?: readonly Observer[];
  /** Who wants the images that no pod waits for, in the ledger's words. */
  readonly askedBy?: string;
}

/** Makes what lives as long as the process. It knows nothing yet, and opens nothing. */
export function openProcess(config: Config, options: ProcessOptions): ProcessContext {
  const { signal, askedBy = "the keep list" } = options;
  const clock = systemClock;
  const observers = [...options.observers ?? [new LogMessages(log, clock.now)]];
  const observer = tellAll(observers);
  const memory = emptyMemory(config.repair.backoff);
  const recorder = new Recorder({ observer, clock, memory, askedBy });
  const activity = new Activity();
  observers.push(recorder, activity);
  const random = () => Math.random();
  const repairs = new Repairs({ observer, clock, random, signal });
  return {
    clock,
    random,
    observer,
    observe: (another) => void observers.push(another),
    repairs,
    recorder,
    activity,
    memory,
    async settled() {
      await repairs.drained();
      await recorder.settled();
    },
  };
}

/** Metrics that follow the config. Their package is loaded when a config first wants them: many never do. */
export function makeMetricsExporter({ clock, observe }: ProcessContext): MetricsExporter {
  const load = async () => {
    const metrics = new Metrics(await import("prom-client"), {
      version: VERSION,
      deno: Deno.version.deno,
      startedAt: clock.wallTime(),
      residentBytes: () => Deno.memoryUsage().rss,
    });
    observe(metrics);
    return metrics;
  };
  return new MetricsExporter({ load, say: (level, text) => log(level, "Metrics", text), now: clock.now });
}

/** How a node is opened. */
export interface NodeOptions {
  /** The node that the old config made, whose place the new one takes. */
  readonly before?: NodeContext<Config> | undefined;
  /** Whether the ledger is read and written. */
  readonly ledger?: boolean;
}

/**
 * Makes of a config what repairs the node. With a ledger, what it tells of earlier repairs is learnt first, and what is
 * done from now on goes into it. It connects to nothing.
 */
export async function openNode(
  config: Config,
  process: ProcessContext,
  { before, ledger = true }: NodeOptions = {},
): Promise<NodeContext<Config>> {
  const { clock, random, observer, recorder, memory } = process;
  const runtime = new InstrumentedRuntime(boundedRuntime(openRuntime(config), AT_ONCE), observer, clock.now);
  const client = new KubeletClient(config.kubelet);
  if (ledger) {
    if (before?.config.ledger.file !== config.ledger.file) await recall(config.ledger.file, process);
    recorder.follow(new LedgerFile(config.ledger.file, config.ledger));
  }
  const node: NodeContext<Config> = {
    config,
    kubelet: { host: config.kubelet.url, pods: (signal) => client.pods(signal) },
    runtime,
    mirrors: new MirrorPool({
      settings: config.mirrors,
      concurrency: config.repair.concurrency,
      cooldowns: memory.cooldowns,
      clock,
      random,
      observer,
    }),
    registries: compileRules(config.registries),
    exclusions: compileExclusions(config.exclude),
    veto: vetoOf(config, memory.provenance, observer),
    canAliasDigest: rememberedAnswer(runtime, clock),
    close() {
      client.close();
      runtime.close();
    },
  };
  if (before !== undefined) carryOver(memory, before, node);
  return node;
}

/** Learns from the whole ledger, and never holds more than a piece of it. */
async function recall(file: string, { memory, observer }: ProcessContext): Promise<void> {
  try {
    for await (const lines of ledgerLines(file)) {
      for (const { entry } of lines) if (entry !== undefined) learn(memory, entry);
    }
  } catch (error) {
    observer.ledgerFailed?.(error);
  }
}

function vetoOf(config: Config, provenance: Provenance, observer: Observer): Veto {
  return (target, candidate, digest) => {
    const anomalies = provenance.anomalies({ reference: target.name, candidate: candidate.reference, digest });
    for (const { message } of anomalies) observer.anomalyFound?.(message);
    const changed = anomalies.find(({ kind }) => kind === "digest-changed");
    return config.repair.onDigestChange === "refuse" && changed ? `refused: ${changed.message}` : undefined;
  };
}

/** A runtime keeps its store for as long as it runs, but may come back with another; asked anew after each failure. */
function rememberedAnswer(
  runtime: Runtime,
  clock: Clock,
): NodeContext["canAliasDigest"] {
  let known: { canAliasDigest: boolean; at: number } | undefined;
  return async (signal) => {
    if (known !== undefined && clock.now() - known.at < 60_000) return known.canAliasDigest;
    try {
      known = { canAliasDigest: (await runtime.info(signal)).canAliasDigest, at: clock.now() };
    } catch {
      signal.throwIfAborted();
      known = undefined;
    }
    return known?.canAliasDigest;
  };
}
