// Decides when to pass, when to reload and when to stop, and notifies systemd. lib/pass.ts has the
// passes; repairs run concurrently with them.

import { mirrorHosts } from "../images/rules.ts";
import { KubeletError } from "../kubelet/errors.ts";
import { type NodeContext, type Pass, pass, type PassSettings, type ProcessContext } from "../pass.ts";
import type { Observer } from "../repair/observer.ts";
import { type NodeState, nodeState, statusLine } from "../status/node_state.ts";
import { describeError } from "../support/errors.ts";
import { endsWithin, LinkedSignal, sleep } from "../support/timeouts.ts";
import { KeptImages } from "./kept_images.ts";
import { type PassResult, PassSchedule, type PollSettings, type Urgency } from "./schedule.ts";
import { watchEvents } from "./watch_events.ts";

/** The service manager; a no-op if there is none. */
export interface ServiceManager {
  send(fields: {
    readonly ready?: true;
    readonly reloading?: true;
    readonly stopping?: true;
    readonly status?: string;
    readonly watchdog?: true;
  }): Promise<void>;
}

/** The part of the config that the daemon uses. */
export interface DaemonSettings extends PassSettings {
  readonly file: string;
  readonly poll: PollSettings;
  readonly keep: readonly string[];
}

/** Publishes the state for other processes to read; never throws. */
export interface StateSink {
  publish(state: NodeState): void;
}

/**
 * The result of reading the config again: the node that replaces the current one, or all mistakes
 * on one line.
 */
export type Reloaded =
  | { readonly result: "reloaded"; readonly node: NodeContext<DaemonSettings> }
  | { readonly result: "refused"; readonly mistakes: string };

/** The dependencies of the daemon. */
export interface DaemonOptions {
  readonly process: ProcessContext;
  readonly node: NodeContext<DaemonSettings>;
  readonly serviceManager: ServiceManager;
  /** Reads the config again. An error that it throws also refuses the config. */
  readonly reload: () => Promise<Reloaded>;
  /** The program version, the process ID, and the start time (milliseconds, by Clock.now). */
  readonly identity: { readonly gilly: string; readonly pid: number; readonly startedAt: number };
  readonly stateFile: StateSink;
  readonly signal: AbortSignal;
}

/**
 * A pause is split into slices, so that the age in the status line stays true and the watchdog is
 * fed. Slices double from the first to the longest: an idle node is not woken to correct an age of
 * half a minute by a second.
 */
const FIRST_SLICE_MS = 2000;
const LONGEST_SLICE_MS = 15_000;

/** How long ended repairs may take to write their last ledger lines. */
const DRAIN_TIMEOUT_MS = 1000;

/** Runs passes, pauses and reloads until it is stopped. */
export class Daemon implements Observer {
  readonly #options: DaemonOptions;
  readonly #process: ProcessContext;
  readonly #kept: KeptImages;
  readonly #schedule = new PassSchedule();
  #node: NodeContext<DaemonSettings>;
  /** Ends the event stream of the current node. */
  #unwatch = new AbortController();
  #listening = false;
  #reloadAsked = false;
  #wake: () => void = () => {};
  #last: { readonly pass: Pass; readonly at: number } | undefined;
  #trouble: string | undefined;
  #configTrouble: string | undefined;

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#process = options.process;
    this.#kept = new KeptImages(options.process);
    this.#node = options.node;
  }

  /** Runs passes until the signal is aborted. Never throws: a failure costs one pass. */
  async run(): Promise<void> {
    const { signal, serviceManager } = this.#options;
    await serviceManager.send({ ready: true, status: "Asking the kubelet for its pods" });
    this.#options.stateFile.publish(this.#state());
    this.#watch();
    while (!signal.aborted) {
      if (this.#reloadAsked) await this.#reload();
      await this.#pass();
      void this.#kept.check(this.#node, signal).then(() => this.#wake());
      this.#node.runtime.askAgain(signal);
      await this.#pause();
    }
    this.#unwatch.abort();
    await serviceManager.send({ stopping: true, status: "Stopping" });
    await this.#kept.settled();
    // The signal has ended every repair; a disk that hangs under the ledger must not keep the
    // process alive.
    await endsWithin(DRAIN_TIMEOUT_MS, this.#process.settled());
    this.#node.close();
  }

  /** Called when a repair ends, which may change when the next pass is due. */
  ended(): void {
    this.#wake();
  }

  /** Requests a reload of the config before the next pass. */
  askReload(): void {
    this.#reloadAsked = true;
    this.#wake();
  }

  // Events are only hints: they bring a pass forward, and nothing depends on their arrival.
  #watch(): void {
    const { signal, process } = this.#options;
    const { runtime } = this.#node;
    const unwatch = this.#unwatch = new AbortController();
    const hint = (urgency: Urgency) => {
      this.#schedule.hint(process.clock.now(), urgency);
      this.#wake();
    };
    void watchEvents((options) => runtime.events(options), {
      opened: () => {
        this.#listening = true;
        process.observer.eventsArrive?.(runtime.advice);
        this.#kept.checkSoon();
        hint("urgent");
      },
      broke: (error, wasOpen) => {
        this.#listening = false;
        process.observer.eventsBroke?.(error, wasOpen);
        if (wasOpen) hint("urgent");
        // The state of the runtime may have changed and must be published.
        else this.#wake();
      },
      happened: (event) => {
        if (event === "image-removed") this.#kept.checkSoon();
        hint(event === "sandbox-started" ? "urgent" : "lazy");
      },
    }, AbortSignal.any([signal, unwatch.signal]));
  }

  async #pass(): Promise<void> {
    const { signal } = this.#options;
    const start = this.#process.clock.now();
    try {
      using passing = new LinkedSignal(signal);
      const seen = await pass(this.#node, this.#process, passing.signal);
      this.#last = { pass: seen, at: this.#process.clock.now() };
      this.#trouble = undefined;
      this.#passed({ creating: seen.creatingCount > 0, failed: false }, start);
    } catch (error) {
      if (signal.aborted) return;
      this.#trouble = describeError(error);
      if (error instanceof KubeletError) this.#process.observer.kubeletFailed?.(error);
      else this.#process.observer.unexpected?.(error);
      this.#passed({ creating: false, failed: true }, start);
    }
  }

  #passed(result: PassResult, start: number): void {
    const { clock, observer, random } = this.#process;
    observer.passed?.(!result.failed, (clock.now() - start) / 1000);
    const { config, runtime } = this.#node;
    const listening = this.#listening && runtime.silence === undefined;
    this.#schedule.passed(clock.now(), result, config.poll, listening, random());
  }

  async #pause(): Promise<void> {
    const { signal, serviceManager, stateFile } = this.#options;
    const { clock } = this.#process;
    for (
      let slice = FIRST_SLICE_MS;
      !signal.aborted && !this.#reloadAsked;
      slice = Math.min(2 * slice, LONGEST_SLICE_MS)
    ) {
      const state = this.#state();
      stateFile.publish(state);
      await serviceManager.send({ watchdog: true, status: statusLine(state, clock.wallTime()) });
      const now = clock.now();
      const dueAt = this.#schedule.dueAt(this.#nextTryAt());
      if (now >= dueAt) return;
      await this.#sleep(Math.min(dueAt - now, slice));
    }
  }

  #nextTryAt(): number | undefined {
    const { memory, repairs } = this.#process;
    const times = [memory.retries.nextTryAt((name) => repairs.underWay(name)), this.#kept.nextTryAt()];
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  async #sleep(ms: number): Promise<void> {
    using sleeping = new LinkedSignal(this.#options.signal);
    this.#wake = () => sleeping.abort();
    await sleep(ms, sleeping.signal);
    this.#wake = () => {};
  }

  async #reload(): Promise<void> {
    const { serviceManager, reload } = this.#options;
    this.#reloadAsked = false;
    await serviceManager.send({ reloading: true });
    const refused = (error: unknown): Reloaded => ({ result: "refused", mistakes: describeError(error) });
    const reloaded = await reload().catch(refused);
    if (reloaded.result === "reloaded") {
      const old = this.#node;
      this.#node = reloaded.node;
      this.#unwatch.abort();
      this.#watch();
      this.#configTrouble = undefined;
      this.#process.observer.reloaded?.(this.#node.config.file);
      // The old node stays open until the repairs that use it have ended.
      void this.#process.repairs.drained().then(() => old.close());
    } else {
      const { file } = this.#node.config;
      this.#configTrouble = `${file} was refused, the old config stays in force`;
      this.#process.observer.reloaded?.(file, reloaded.mistakes);
    }
    await serviceManager.send({ ready: true, status: this.status() });
  }

  /**
   * Returns one line of state: `Checked 12 pods 3 s ago: 1 repairing, 0 unrepairable; 41 repaired
   * since start`.
   */
  status(): string {
    return statusLine(this.#state(), this.#process.clock.wallTime());
  }

  #state(): NodeState {
    const { clock, repairs, memory, activity } = this.#process;
    const { config, registries, runtime } = this.#node;
    return nodeState({
      ...this.#options.identity,
      now: clock.now(),
      toWallTime: (at) => clock.wallTime(at),
      configFile: config.file,
      last: this.#last,
      trouble: { pass: this.#trouble, config: this.#configTrouble, engine: runtime.silence },
      repairs,
      retry: (name) => memory.retries.get(name),
      mirrors: mirrorHosts(registries),
      cooldowns: memory.cooldowns.mirrors(clock.now()),
      mirrorFor: (name) => activity.mirrorFor(name),
    });
  }
}
