// When to pass, when to stop, what to tell systemd. The passes themselves are cycle.ts; the repairs run beside them.

import { ConfigError } from "./config.ts";
import { type Ground, type Parts, type Pass, pass } from "./cycle.ts";
import { describeError } from "./errors.ts";
import { Keeper } from "./keep.ts";
import { KubeletError } from "./kubelet.ts";

/** Tells the service manager; a no-op where there is none. */
export interface ServiceManager {
  send(fields: {
    readonly ready?: true;
    readonly reloading?: true;
    readonly stopping?: true;
    readonly status?: string;
    readonly watchdog?: true;
  }): Promise<void>;
}

/** Parts as a config wired them; `interval` and `jitter` of the poll are read before every pause. */
export interface DaemonParts extends Parts {
  readonly config: {
    readonly file: string;
    readonly poll: { readonly intervalSeconds: number; readonly jitter: number };
  };
  close(): void;
}

/** What the daemon is made of. */
export interface DaemonOptions {
  readonly ground: Ground;
  readonly parts: DaemonParts;
  readonly serviceManager: ServiceManager;
  readonly random: () => number;
  /** Wires a config that was read again. Throws ConfigError. */
  readonly reload: () => Promise<DaemonParts>;
  readonly signal: AbortSignal;
}

/** A pause is cut into slices of this length, so that the status line has a true age and the watchdog is fed. */
const SLICE_MS = 2000;

/** How long ended repairs may take to write their last lines. */
const LAST_WORDS_MS = 1000;

/** The rhythm: passes, pauses, reloads, and the stop. */
export class Daemon {
  readonly #options: DaemonOptions;
  readonly #ground: Ground;
  #parts: DaemonParts;
  #reloadAsked = false;
  readonly #keeper = new Keeper();
  #wake: () => void = () => {};
  #last: { readonly pass: Pass; readonly at: number } | undefined;
  #trouble: string | undefined;
  #configTrouble: string | undefined;

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#ground = options.ground;
    this.#parts = options.parts;
  }

  /** Passes until the signal is aborted. Never throws: what fails costs one pass. */
  async run(): Promise<void> {
    const { signal, serviceManager } = this.#options;
    await serviceManager.send({ ready: true, status: "Asking the kubelet for its pods" });
    while (!signal.aborted) {
      if (this.#reloadAsked) await this.#reload();
      await this.#pass();
      this.#keeper.tend(this.#parts, this.#ground, await this.#parts.engineLife(), signal);
      await this.#pause();
    }
    await serviceManager.send({ stopping: true, status: "Stopping" });
    await this.#keeper.idle();
    // The signal has ended every repair; a disk that hangs under the ledger must not keep the process.
    await atMost(LAST_WORDS_MS, this.#ground.repairs.drained());
    this.#parts.close();
  }

  /** Asks for the config to be read again, before the next pass. */
  askReload(): void {
    this.#reloadAsked = true;
    this.#wake();
  }

  async #pass(): Promise<void> {
    const { signal } = this.#options;
    try {
      const seen = await pass(this.#parts, this.#ground, signal);
      this.#last = { pass: seen, at: this.#ground.now() };
      this.#trouble = undefined;
    } catch (error) {
      if (signal.aborted) return;
      this.#trouble = describeError(error);
      if (error instanceof KubeletError) this.#ground.journal.kubeletFailed(error);
      else this.#ground.journal.unexpected(error);
    }
  }

  async #pause(): Promise<void> {
    const { signal, random, serviceManager } = this.#options;
    const { intervalSeconds, jitter } = this.#parts.config.poll;
    const until = this.#ground.now() + 1000 * intervalSeconds * (1 + jitter * (2 * random() - 1));
    while (!signal.aborted && !this.#reloadAsked) {
      await serviceManager.send({ watchdog: true, status: this.status() });
      const rest = until - this.#ground.now();
      // A clock that was set back must not turn a pause of seconds into one of hours.
      if (rest <= 0 || rest > 2000 * intervalSeconds) return;
      await this.#sleep(Math.min(rest, SLICE_MS));
    }
  }

  #sleep(ms: number): Promise<void> {
    const { signal } = this.#options;
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.#wake = () => {};
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wake = done;
      signal.addEventListener("abort", done, { once: true });
    });
  }

  async #reload(): Promise<void> {
    const { serviceManager, reload } = this.#options;
    this.#reloadAsked = false;
    await serviceManager.send({ reloading: true });
    try {
      const old = this.#parts;
      this.#parts = await reload();
      this.#configTrouble = undefined;
      this.#ground.journal.reloaded(this.#parts.config.file);
      // Repairs that the old config began end with it.
      void this.#ground.repairs.drained().then(() => old.close());
    } catch (error) {
      const { file } = this.#parts.config;
      const mistakes = error instanceof ConfigError ? error.message.replaceAll("\n", "; ") : describeError(error);
      this.#configTrouble = `${file} was refused, the old config stays in force`;
      this.#ground.journal.reloaded(file, mistakes);
    }
    await serviceManager.send({ ready: true, status: this.status() });
  }

  /** One line of state: `Checked 12 pods 3 s ago: 1 repairing, 0 unrepairable; 41 repaired since start`. */
  status(): string {
    const { repairs } = this.#ground;
    const parts = [];
    if (this.#last !== undefined) {
      const { pass, at } = this.#last;
      const age = Math.max(0, Math.round((this.#ground.now() - at) / 1000));
      const waiting = pass.plan.waits.filter(({ record }) => record.last.result === "failed").length;
      const states = [`${repairs.count} repairing`, ...(waiting > 0 ? [`${waiting} waiting`] : [])];
      states.push(`${unrepairableCount(pass)} unrepairable`);
      parts.push(`Checked ${pass.podCount} pods ${age} s ago: ${states.join(", ")}`);
    }
    parts.push(`${repairs.repaired} repaired since start`);
    if (this.#trouble !== undefined) parts.unshift(this.#trouble);
    if (this.#configTrouble !== undefined) parts.unshift(this.#configTrouble);
    return parts.join("; ");
  }
}

function unrepairableCount({ plan }: Pass): number {
  return new Set(plan.skips.map(({ failure }) => failure.image)).size;
}

async function atMost(ms: number, work: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, promise]).finally(() => clearTimeout(timer));
}
