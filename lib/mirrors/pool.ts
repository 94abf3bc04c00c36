// Everything Gilly holds about its mirrors while it runs: which cool down, how many pulls each takes, whose credentials.

import { type AuthSettings, outsideInWords, usesCredentials } from "../images/auth_paths.ts";
import type { RegistryAuth, RegistryError, RegistryFailure } from "../images/registry.ts";
import type { Clock } from "../support/clock.ts";
import { describeError } from "../support/errors.ts";
import { Semaphore, type ShouldYield } from "../support/semaphore.ts";
import type { Cooldowns } from "./cooldown.ts";
import { AuthFile, type AuthLookup } from "./credentials.ts";
import type { MirrorObserver, Mirrors } from "./mirrors.ts";

/** Failures that are about the mirror and not about the image. */
const MIRROR_FAILURES: ReadonlySet<string> = new Set<RegistryFailure>(["registry-down", "rate-limited", "stalled"]);

/** A mirror with no limit of its own takes this many pulls at once. */
const DEFAULT_PULLS_PER_MIRROR = 4;

/** So many may wait for a mirror before it is asked, for each of them, whether it has the image at all. */
const PROBE_ABOVE = 8;

/** What may be said of one mirror: besides its credentials, how many pulls it gets at once. */
export interface MirrorSettings extends AuthSettings {
  readonly maxConcurrentPulls?: number;
}

/** What the mirrors are told at the start, and whom they tell of news. */
export interface MirrorPoolOptions {
  readonly settings: Readonly<Record<string, MirrorSettings>>;
  /** Pulls at once over all mirrors. */
  readonly concurrency: number;
  /** Overrides how many may wait before mirrors are asked what they have. */
  readonly probeAbove?: number;
  /** Which mirrors cool down, as far as it is known already. */
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
  /** What the last look into each file came to. */
  readonly #lookups = new Map<string, AuthLookup>();

  constructor(options: MirrorPoolOptions) {
    this.#options = options;
    this.#cooldowns = options.cooldowns;
    this.#all = new Semaphore(options.concurrency, options.probeAbove ?? PROBE_ABOVE);
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
    // The mirror's own slot first: a pull that waits for a slow mirror must not hold a slot that another could use.
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
      semaphore = new Semaphore(
        this.#options.settings[mirror]?.maxConcurrentPulls ?? DEFAULT_PULLS_PER_MIRROR,
        this.#options.probeAbove ?? PROBE_ABOVE,
      );
      this.#perMirror.set(mirror, semaphore);
    }
    return semaphore;
  }
}
