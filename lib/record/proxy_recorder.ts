// The observer that writes the registry proxy's ledger: each pull that was served, and each image
// that was not, unless it is not news.

import type { NotServed, ProxyObserver, ServedPull } from "../proxy/observer.ts";
import type { Clock } from "../support/clock.ts";
import { setRecent } from "../support/recent.ts";
import { notServedEntry, servedEntry } from "./entry.ts";
import { LedgerWriter, type LedgerWriterOptions } from "./writer.ts";

/** The dependencies of a recorder. */
export interface ProxyRecorderOptions extends LedgerWriterOptions {
  readonly clock: Clock;
}

/** The most images whose last result is remembered; the oldest are forgotten first. */
const MOST_KEPT = 5000;

/** Writes to the ledger that it follows. */
export class ProxyRecorder extends LedgerWriter implements ProxyObserver {
  readonly #clock: Clock;
  /** The last result of each image that was not served. */
  readonly #failed = new Map<string, string>();

  constructor(options: ProxyRecorderOptions) {
    super(options);
    this.#clock = options.clock;
  }

  served(pull: ServedPull): void {
    this.#failed.delete(pull.target.image);
    this.write(servedEntry(pull, this.#clock.wallTime()));
  }

  notServed(image: NotServed): void {
    // A runtime asks again and again; an image that stays missing gets one line.
    const result = image.reason ?? "failed";
    if (this.#failed.get(image.image) === result) return;
    setRecent(this.#failed, image.image, result, MOST_KEPT);
    this.write(notServedEntry(image, this.#clock.wallTime()));
  }
}
