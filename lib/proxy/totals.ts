// The observer that counts what the registry proxy did, and keeps what is wrong with it, for its
// state.

import { describeError } from "../support/errors.ts";
import type { ProxyObserver, ServedPull } from "./observer.ts";

/** What was pulled from one mirror: pulls, and the bytes of their layers. */
export interface ServedFrom {
  readonly served: number;
  readonly bytes: number;
}

/** The counts since the start. */
export interface ProxyTotals {
  readonly served: number;
  readonly notServed: number;
  readonly bytes: number;
  /** How often another mirror continued a layer. */
  readonly resumed: number;
  readonly byMirror: ReadonlyMap<string, ServedFrom>;
  readonly trouble: ProxyTrouble;
}

/** Set if the config, or the certificate, on disk was refused and the old one is in use. */
export interface ProxyTrouble {
  readonly config?: string;
  readonly certificate?: string;
}

/** Counts; its observer methods never throw. */
export class ProxyCounter implements ProxyObserver {
  readonly #byMirror = new Map<string, ServedFrom>();
  #notServed = 0;
  #resumed = 0;
  #trouble: ProxyTrouble = {};

  /** The counts until now. */
  get totals(): ProxyTotals {
    const all = [...this.#byMirror.values()];
    return {
      served: all.reduce((sum, { served }) => sum + served, 0),
      notServed: this.#notServed,
      bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
      resumed: this.#resumed,
      byMirror: this.#byMirror,
      trouble: this.#trouble,
    };
  }

  served({ candidate: { mirror }, bytes, resumed }: ServedPull): void {
    const before = this.#byMirror.get(mirror) ?? { served: 0, bytes: 0 };
    this.#byMirror.set(mirror, { served: before.served + 1, bytes: before.bytes + bytes });
    this.#resumed += resumed;
  }

  notServed(): void {
    this.#notServed++;
  }

  reloaded(file: string, mistakes?: string): void {
    const { config: _, ...rest } = this.#trouble;
    const config = `${file} was refused, the old config stays in force`;
    this.#trouble = mistakes === undefined ? rest : { ...rest, config };
  }

  certificateReplaced(): void {
    const { certificate: _, ...rest } = this.#trouble;
    this.#trouble = rest;
  }

  certificateFailed(error: unknown): void {
    this.#trouble = { ...this.#trouble, certificate: `the old certificate stays in use: ${describeError(error)}` };
  }
}
