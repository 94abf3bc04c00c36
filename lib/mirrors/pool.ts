// The state of the mirrors at run time: cool-downs, limits on concurrent pulls, and credentials.

import { type AuthSettings, outsideInWords, usesCredentials } from "../images/auth_paths.ts";
import type { RegistryAuth, RegistryError, RegistryFailure } from "../images/registry.ts";
import type { Clock } from "../support/clock.ts";
import { describeError } from "../support/errors.ts";
import { Semaphore, type ShouldYield } from "../support/semaphore.ts";
import type { Cooldowns } from "./cooldown.ts";
import { AuthFile, type AuthLookup } from "./credentials.ts";
import type { MirrorObserver, Mirrors } from "./mirrors.ts";

/** Failures that concern the mirror and not the image. */
const MIRROR_FAILURES: ReadonlySet<string> = new Set<RegistryFailure>(["registry-down", "rate-limited", "stalled"]);

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
}

/** The mirrors of one configuration, keyed by host. */
export class MirrorPool implements Mirrors {
  readonly #options: MirrorPoolOptions;
  readonly #cooldowns: Cooldowns;
  readonly #all: Semaphore;
  readonly #perMirror = new Map<string, Semaphore>();
  readonly #authFiles = new Map<string, AuthFile>();
  /** The result of the last read of each file, by mirror. */
  readonly #lookups = new Map<string, AuthLookup>();

  constructor(options: MirrorPoolOptions) {
    this.#options = options;
    this.#cooldowns = options.cooldowns;
    this.#all = this.#semaphore(options.concurrency);
    for (const [mirror, { authFile }] of Object.entries(options.settings)) {
      if (authFile !== undefined) this.#authFiles.set(mirror, new AuthFile(authFile, mirror));
    }
  }

  coolingDown(mirror: string): string | undefined {
    const now = this.#options.clock.now();
    const cooldown = this.#cooldowns.current(mirror, now);
    return cooldown &&
      `${mirror} is cooling down for another ${Math.ceil((cooldown.until - now) / 1000)} s (${cooldown.because})`;
  }

  async credentials(mirror: string, reference: string): Promise<RegistryAuth | undefined> {
    const file = this.#authFiles.get(mirror);
    if (file === undefined || !usesCredentials(mirror, this.#options.settings[mirror], reference)) return undefined;
    const found = await file.read();
    this.#lookups.set(mirror, found);
    if ("problem" in found) {
      this.#options.observer.authProblem?.(mirror, found.problem);
      return undefined;
    }
    return found.auth;
  }

  credentialsInWords(mirror: string, reference: string): string {
    const file = this.#options.settings[mirror]?.authFile;
    if (file === undefined) return `${mirror} was asked without credentials: it has no authFile under mirrors`;
    if (!usesCredentials(mirror, this.#options.settings[mirror], reference)) {
      return `${mirror} was asked without credentials: ${outsideInWords(mirror, reference)}`;
    }
    const lookup = this.#lookups.get(mirror);
    return lookup !== undefined && "problem" in lookup
      ? `${mirror} was asked without credentials: ${lookup.problem}`
      : `${mirror} was asked with the credentials of ${file}`;
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

  delivered(mirror: string): void {
    if (this.#cooldowns.all().has(mirror)) this.#options.observer.mirrorRecovered?.(mirror);
    this.#cooldowns.end(mirror);
  }

  failed(mirror: string, error: RegistryError): void {
    if (!MIRROR_FAILURES.has(error.kind)) return;
    const news = !this.#cooldowns.all().has(mirror);
    const { clock, random, observer } = this.#options;
    const cooldown = this.#cooldowns.start(
      mirror,
      describeError(error),
      clock.now(),
      random(),
      error.retryAfterSeconds,
    );
    if (news) observer.mirrorCoolsDown?.(mirror, cooldown);
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
