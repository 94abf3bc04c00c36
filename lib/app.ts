// Opens what the config names. Only this file creates adapters and uses randomness.

import type { Config } from "./config/config.ts";
import { compileExclusions } from "./images/exclusions.ts";
import { compileRules } from "./images/rules.ts";
import { KubeletClient } from "./kubelet/client.ts";
import { log } from "./log/log.ts";
import { LogMessages } from "./log/messages.ts";
import { ProxyMessages } from "./log/proxy_messages.ts";
import { MetricsExporter } from "./metrics/exporter.ts";
import { Metrics } from "./metrics/metrics.ts";
import { Cooldowns } from "./mirrors/cooldown.ts";
import { MirrorPool } from "./mirrors/pool.ts";
import type { NodeContext, ProcessContext } from "./pass.ts";
import type { Veto } from "./plan/plan.ts";
import type { EndpointContext } from "./proxy/candidates.ts";
import type { ProxyObserver } from "./proxy/observer.ts";
import { Pulls } from "./proxy/pulls.ts";
import { ProxyCounter } from "./proxy/totals.ts";
import { MirrorClients } from "./proxy/trust.ts";
import { Upstream } from "./proxy/upstream.ts";
import { LedgerFile, ledgerLines } from "./record/ledger.ts";
import { carryOver, emptyMemory, keepCooldowns, learn, type Memory } from "./record/memory.ts";
import { Provenance } from "./record/provenance.ts";
import { ProxyRecorder } from "./record/proxy_recorder.ts";
import { Recorder } from "./record/recorder.ts";
import { Refusals } from "./record/refusals.ts";
import { Activity } from "./repair/activity.ts";
import { type Observer, tellAll } from "./repair/observer.ts";
import { Repairs } from "./repair/queue.ts";
import { InstrumentedRuntime } from "./runtime/instrumented.ts";
import { boundedRuntime } from "./runtime/limited.ts";
import { openRuntime } from "./runtime/open.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { leadingOf, ledHosts } from "./status/led_hosts.ts";
import { type Clock, systemClock } from "./support/clock.ts";
import { VERSION } from "./version.ts";

/** Limits on concurrent runtime calls other than pulls. */
const AT_ONCE = { calls: 16, resolves: 48 };

/** Options of a process; the defaults are the daemon's. */
export interface ProcessOptions {
  /** Ends every repair. */
  readonly signal: AbortSignal;
  /** The first observers to be notified; the log by default. */
  readonly observers?: readonly Observer[];
  /** What requests the images that no pod waits for, as the ledger records it. */
  readonly askedBy?: string;
}

/** Makes everything that lives as long as the process, with an empty memory. Opens nothing. */
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

/** Makes an exporter that follows the config. Loads prom-client when a config first needs it. */
export function makeMetricsExporter({ clock, observe }: ProcessContext): MetricsExporter {
  const load = async () => {
    // A CommonJS module: only its default is there in every form of the program.
    const { default: library } = await import("prom-client");
    const metrics = new Metrics(library, {
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

/** Options of `openNode`. */
export interface NodeOptions {
  /** The node of the old config, which the new node replaces. */
  readonly before?: NodeContext<Config> | undefined;
  /** Whether the ledger is read and written. */
  readonly ledger?: boolean;
}

/**
 * Makes everything that a config needs to repair the node. With a ledger, learns from its earlier
 * repairs first and records later ones in it. Connects to nothing.
 */
export async function openNode(
  config: Config,
  process: ProcessContext,
  { before, ledger = true }: NodeOptions = {},
): Promise<NodeContext<Config>> {
  const { clock, random, observer, recorder, memory } = process;
  const runtime = new InstrumentedRuntime(boundedRuntime(await openRuntime(config), AT_ONCE), observer, clock.now);
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
      recovered(mirror) {
        for (const retries of [memory.retries, memory.keptRetries]) retries.hasten(mirror, clock.now());
      },
    }),
    registries: compileRules(config.registries),
    exclusions: compileExclusions(config.exclude),
    veto: vetoOf(config, memory.provenance, observer),
    canAliasDigest: rememberedAnswer(runtime, clock),
    redirectedHosts: () => ledHosts(leadingOf(config)),
    close() {
      client.close();
      runtime.close();
    },
  };
  if (before !== undefined) carryOver(memory, before, node);
  return node;
}

/** Learns from the complete ledger, one batch of lines at a time. */
async function recall(file: string, { memory, observer }: Recalling): Promise<void> {
  try {
    for await (const lines of ledgerLines(file)) {
      for (const { entry } of lines) if (entry !== undefined) learn(memory, entry);
    }
  } catch (error) {
    observer.ledgerFailed?.(error);
  }
}

interface Recalling {
  readonly memory: Pick<Memory, "provenance" | "refusals">;
  readonly observer: Pick<Observer, "ledgerFailed">;
}

/** Everything of the registry proxy that lives as long as its process. */
export interface ProxyProcess {
  readonly clock: Clock;
  readonly random: () => number;
  readonly observer: ProxyObserver;
  readonly recorder: ProxyRecorder;
  readonly counter: ProxyCounter;
  readonly memory: Pick<Memory, "cooldowns" | "provenance" | "refusals">;
  readonly clients: MirrorClients;
  readonly pulls: Pulls;
}

/** Makes everything that lives as long as the proxy's process. Opens nothing. */
export function openProxyProcess(): ProxyProcess {
  const clock = systemClock;
  const observers: ProxyObserver[] = [new ProxyMessages(log, clock.now)];
  const observer = tellAll(observers);
  const memory = { cooldowns: new Cooldowns(), provenance: new Provenance(), refusals: new Refusals() };
  const recorder = new ProxyRecorder({ observer, clock, memory });
  const counter = new ProxyCounter();
  observers.push(recorder, counter);
  const pulls = new Pulls({ observer, now: clock.now });
  return {
    clock,
    random: () => Math.random(),
    observer,
    recorder,
    counter,
    memory,
    clients: new MirrorClients(clock.now),
    pulls,
  };
}

/** What one config makes of the proxy. */
export interface ProxyContext extends EndpointContext {
  readonly config: Config;
}

/** Each layer takes a slot, and a runtime requests so many layers at once for one image (moby config, max-concurrent-downloads). */
const LAYERS_AT_ONCE = 3;

/**
 * Makes everything that a config needs to serve images. Learns from its ledger first and records
 * what is served in it. Connects to nothing.
 */
export async function openProxy(config: Config, process: ProxyProcess, before?: ProxyContext): Promise<ProxyContext> {
  const { clock, random, observer, recorder, memory, clients, pulls } = process;
  const { ledgerFile, stallSeconds, headersSeconds } = config.proxy;
  if (before?.config.proxy.ledgerFile !== ledgerFile) await recall(ledgerFile, process);
  recorder.follow(new LedgerFile(ledgerFile, config.ledger));
  const context: ProxyContext = {
    config,
    registries: compileRules(config.registries),
    exclusions: compileExclusions(config.exclude),
    mirrors: new MirrorPool({
      settings: config.mirrors,
      concurrency: config.repair.concurrency,
      slotsPerPull: LAYERS_AT_ONCE,
      cooldowns: memory.cooldowns,
      clock,
      random,
      observer,
    }),
    upstream: new Upstream({ clients, headersTimeoutMs: 1000 * headersSeconds, now: clock.now }),
    pulls,
    veto: vetoOf(config, memory.provenance, observer),
    observer,
    stallTimeoutMs: 1000 * stallSeconds,
    now: clock.now,
  };
  if (before !== undefined) keepCooldowns(memory.cooldowns, before, context);
  return context;
}

function vetoOf(config: Config, provenance: Provenance, observer: Pick<Observer, "anomalyFound">): Veto {
  return (target, candidate, digest) => {
    const anomalies = provenance.anomalies({ reference: target.name, candidate: candidate.reference, digest });
    for (const { message } of anomalies) observer.anomalyFound?.(message);
    const changed = anomalies.find(({ kind }) => kind === "digest-changed");
    return config.repair.onDigestChange === "refuse" && changed ? `refused: ${changed.message}` : undefined;
  };
}

/**
 * Caches the answer for 60 s: a runtime keeps its image store while it runs, but may restart with
 * another one. A failure clears the cache.
 */
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
