// The observer that writes the registry proxy's ledger: each pull that was served, and each image
// that was not, unless it is not news.

import type { NotServed, ProxyObserver, ServedPull } from "../proxy/observer.ts";
import type { Clock } from "../support/clock.ts";
import { type Ledger, type LedgerEntry, notServedEntry, servedEntry } from "./entry.ts";
import type { Provenance } from "./provenance.ts";

/** The dependencies of a recorder. */
export interface ProxyRecorderOptions {
  /** Notified of lines that could not be written. */
  readonly observer: ProxyObserver;
  readonly clock: Clock;
  /** Learns what was served. */
  readonly provenance: Provenance;
}

/** The most images whose last result is remembered; the oldest are forgotten first. */
const MOST_KEPT = 5000;

/** Writes lines one after another; writes none until it follows a ledger. */
export class ProxyRecorder implements ProxyObserver {
  readonly #options: ProxyRecorderOptions;
  /** The last result of each image that was not served. */
  readonly #failed = new Map<string, string>();
  #ledger: Ledger | undefined;
  #written: Promise<void> = Promise.resolve();

  constructor(options: ProxyRecorderOptions) {
    this.#options = options;
  }

  /** Writes to this ledger from now on. */
  follow(ledger: Ledger): void {
    this.#ledger = ledger;
  }

  served(pull: ServedPull): void {
    const { target, candidate, digest } = pull;
    this.#failed.delete(target.image);
    this.#options.provenance.learn({ reference: target.name, candidate: candidate.reference, digest });
    this.#write(servedEntry(pull, this.#options.clock.wallTime()));
  }

  notServed(image: NotServed): void {
    // A runtime asks again and again; an image that stays missing gets one line.
    const result = image.reason ?? "failed";
    if (this.#failed.get(image.image) === result) return;
    this.#failed.delete(image.image);
    this.#failed.set(image.image, result);
    if (this.#failed.size > MOST_KEPT) this.#failed.delete(this.#failed.keys().next().value!);
    this.#write(notServedEntry(image, this.#options.clock.wallTime()));
  }

  /** Resolves when every line so far is written or has failed. */
  async settled(): Promise<void> {
    await this.#written;
  }

  #write(entry: LedgerEntry): void {
    if (this.#ledger === undefined) return;
    const written = this.#ledger.append(entry).catch((error) => this.#options.observer.ledgerFailed?.(error));
    this.#written = Promise.all([this.#written, written]).then(() => {});
  }
}
