// The state of the mirrors at run time: cool-downs, limits on concurrent pulls, and credentials.

import { type AuthSettings, outsideInWords, usesCredentials } from "../images/auth_paths.ts";
import { concernOf, type RegistryAuth, type RegistryError } from "../images/registry.ts";
import type { Candidate } from "../images/rules.ts";
import type { Clock } from "../support/clock.ts";
import { describeError } from "../support/errors.ts";
import { Semaphore, type ShouldYield } from "../support/semaphore.ts";
import type { Cooldowns } from "./cooldown.ts";
import { AuthFile } from "./credentials.ts";
import type { CoolingDown, MirrorObserver, Mirrors } from "./mirrors.ts";
import { ProbeGate } from "./probe_gate.ts";

/** The limit on concurrent pulls from a mirror that has no limit of its own. */
const DEFAULT_PULLS_PER_MIRROR = 4;

/** If more pulls than this are queued at a mirror, each checks whether it has the image. */
const PROBE_ABOVE = 8;

/** The settings of one mirror: its credentials and its limit on concurrent pulls. */
export interface MirrorSettings extends AuthSettings {
  readonly maxConcurrentPulls?: number;
}

/** Options of a MirrorPool. */
export interface MirrorPoolOptions {
  readonly settings: Readonly<Record<string, MirrorSettings>>;
  /** The limit on concurrent pulls across all mirrors. */
  readonly concurrency: number;
  /** How many slots make one pull; by default one. */
  readonly slotsPerPull?: number;
  /** Overrides PROBE_ABOVE. */
  readonly probeAbove?: number;
  /** The cool-downs known so far. */
  readonly cooldowns: Cooldowns;
  readonly clock: Clock;
  readonly random: () => number;
  readonly observer: MirrorObserver;
  /** Called with a host or a location that had failed and delivered. */
  readonly recovered?: (mirror: string) => void;
}

/** The mirrors of one configuration, keyed by host. */
export class MirrorPool implements Mirrors {
  readonly #options: MirrorPoolOptions;
  readonly #cooldowns: Cooldowns;
  readonly #all: Semaphore;
  readonly #perMirror = new Map<string, Semaphore>();
  readonly #probes = new Map<string, ProbeGate>();
  readonly #authFiles = new Map<string, AuthFile>();

  constructor(options: MirrorPoolOptions) {
    this.#options = options;
    this.#cooldowns = options.cooldowns;
    this.#all = this.#semaphore(options.concurrency);
    for (const [mirror, { authFile }] of Object.entries(options.settings)) {
      if (authFile !== undefined) this.#authFiles.set(mirror, new AuthFile(authFile, mirror));
    }
  }

  coolingDown(candidate: Candidate): CoolingDown | undefined {
    const now = this.#options.clock.now();
    const cooldown = this.#cooldowns.current(candidate, now);
    if (cooldown === undefined) return undefined;
    const { scope, until, because } = cooldown;
    const seconds = Math.ceil((until - now) / 1000);
    return { message: `${scope} is cooling down for another ${seconds} s (${because})`, until };
  }

  async credentials(mirror: string, reference: string): Promise<RegistryAuth | undefined> {
    const file = this.#authFiles.get(mirror);
    if (file === undefined || !usesCredentials(mirror, this.#options.settings[mirror], reference)) return undefined;
    const found = await file.read(reference);
    if ("problem" in found) this.#options.observer.authProblem?.(mirror, found.problem);
    return "auth" in found ? found.auth : undefined;
  }

  credentialsInWords(mirror: string, reference: string): string {
    const file = this.#options.settings[mirror]?.authFile;
    if (file === undefined) return `${mirror} was asked without credentials: it has no authFile under mirrors`;
    if (!usesCredentials(mirror, this.#options.settings[mirror], reference)) {
      return `${mirror} was asked without credentials: ${outsideInWords(mirror, reference)}`;
    }
    const found = this.#authFiles.get(mirror)?.last(reference);
    if (found === undefined || "auth" in found) {
      return `${mirror} was asked with the credentials of ${file}${found?.flaw === undefined ? "" : `, ${found.flaw}`}`;
    }
    return `${mirror} was asked without credentials: ${"problem" in found ? found.problem : found.uncovered}`;
  }

  async withSlot<T>(
    mirror: string,
    signal: AbortSignal,
    pull: () => Promise<T>,
    shouldYield?: ShouldYield,
  ): Promise<T> {
    // Take the mirror's slot first: a pull that waits for a slow mirror must not hold a shared slot
    // that another pull could use.
    return await this.#semaphoreOf(mirror).with(signal, () => this.#all.with(signal, pull, shouldYield), shouldYield);
  }

  async probe(candidate: Candidate, signal: AbortSignal, ask: () => Promise<boolean>): Promise<boolean> {
    const answer = await this.#probesOf(candidate.mirror).with(signal, async () => {
      const now = this.#options.clock.now();
      if (this.#cooldowns.current(candidate, now) !== undefined) return undefined;
      if (this.#cooldowns.isSuspect(candidate, now)) return undefined;
      try {
        return await ask();
      } catch (error) {
        // Only pulls show whether the host can be reached: they take other ways than probes.
        if (isRegistryError(error) && concernOf(error.kind) === "repository") this.failed(candidate, error);
        throw error;
      }
    });
    return answer ?? false;
  }

  trying(candidate: Candidate): void {
    this.#cooldowns.trying(candidate, this.#options.clock.now());
  }

  delivered(candidate: Candidate): void {
    for (const scope of this.#cooldowns.delivered(candidate)) {
      this.#options.observer.mirrorRecovered?.(scope);
      this.#options.recovered?.(scope);
    }
  }

  failed(candidate: Candidate, error: RegistryError): void {
    const { clock, random, observer } = this.#options;
    const failure = { kind: error.kind, because: describeError(error), askedSeconds: error.retryAfterSeconds };
    const news = this.#cooldowns.failed(candidate, failure, { now: clock.now(), random: random() });
    for (const { scope, ...cooldown } of news) observer.mirrorCoolsDown?.(scope, cooldown);
  }

  #probesOf(mirror: string): ProbeGate {
    let gate = this.#probes.get(mirror);
    if (gate === undefined) this.#probes.set(mirror, gate = new ProbeGate());
    return gate;
  }

  #semaphoreOf(mirror: string): Semaphore {
    let semaphore = this.#perMirror.get(mirror);
    if (semaphore === undefined) {
      semaphore = this.#semaphore(this.#options.settings[mirror]?.maxConcurrentPulls ?? DEFAULT_PULLS_PER_MIRROR);
      this.#perMirror.set(mirror, semaphore);
    }
    return semaphore;
  }

  #semaphore(pulls: number): Semaphore {
    const { slotsPerPull = 1, probeAbove = PROBE_ABOVE } = this.#options;
    return new Semaphore(slotsPerPull * pulls, probeAbove);
  }
}

function isRegistryError(error: unknown): error is RegistryError {
  return error instanceof Error && "kind" in error && typeof error.kind === "string";
}
