// Exports the metrics where the config says: on a port, to a file, or nowhere. A failure here costs
// a warning, never a repair.

import type { Level } from "../log/log.ts";
import type { NodeState } from "../status/node_state.ts";
import { describeError } from "../support/errors.ts";
import type { ListenAddress } from "../support/http/server.ts";
import type { CertificateClock, Metrics, ProxyWatch } from "./metrics.ts";
import { type MetricsServer, serveMetrics } from "./server.ts";
import { removeTextfile, writeTextfile } from "./textfile.ts";

/** Where metrics are exported; nowhere if both are omitted. */
export interface MetricsSettings {
  readonly listen?: ListenAddress;
  /** The path of a file for node_exporter's textfile collector; it ends in .prom. */
  readonly textfile?: string;
}

/** The dependencies of an exporter. */
export interface MetricsExporterOptions {
  /** Creates the metrics, when the first config enables them. */
  readonly load: () => Promise<Metrics>;
  readonly say: (level: Level, text: string) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /**
   * Milliseconds between writes of the file, and between attempts to listen on a port that is
   * taken.
   */
  readonly intervalMs?: number;
}

/** Prometheus usually scrapes every 15 s to 60 s. */
const INTERVAL_MS = 15_000;

const LISTEN_AGAIN = "retrying until it works";

/**
 * After this long without progress the loop is unhealthy: the unit's WatchdogSec, after which
 * systemd kills it.
 */
const UNHEALTHY_AFTER_MS = 60_000;

/** Exports the metrics of a daemon; follows the config across reloads. */
export class MetricsExporter {
  readonly #options: MetricsExporterOptions;
  #metrics: Metrics | undefined;
  #settings: MetricsSettings = {};
  #server: MetricsServer | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #beatAt: number;
  #writes: Promise<void> = Promise.resolve();
  #writesWaiting = 0;
  /** The last failure of each, so that it is reported once. */
  readonly #troubles = new Map<"load" | "listen" | "textfile", string>();

  constructor(options: MetricsExporterOptions) {
    this.#options = options;
    this.#beatAt = options.now();
  }

  /** `http://ADDRESS:PORT` while the port is served. */
  get url(): string | undefined {
    return this.#server?.url;
  }

  /** Records that the daemon's loop made progress, and the state of its node. */
  publish(state: NodeState): void {
    this.#beatAt = this.#options.now();
    this.#metrics?.publish(state);
  }

  /**
   * Returns whether the loop made progress recently. A clock that was set back counts as progress.
   */
  health(): { readonly healthy: boolean; readonly sentence: string } {
    const age = Math.max(0, this.#options.now() - this.#beatAt);
    const seconds = Math.round(age / 1000);
    return age < UNHEALTHY_AFTER_MS
      ? { healthy: true, sentence: `ok: the loop made progress ${seconds} s ago` }
      : { healthy: false, sentence: `unhealthy: no progress for ${seconds} s` };
  }

  /**
   * Puts settings in force, with the certificates and the proxy of the same config. Never throws;
   * the file is written in the background.
   */
  async follow(settings: MetricsSettings, certificates: CertificateClock, proxy?: ProxyWatch): Promise<void> {
    const wanted = settings.listen !== undefined || settings.textfile !== undefined;
    if (wanted && this.#metrics === undefined) {
      await this.#attempt("load", async () => void (this.#metrics = await this.#options.load()));
    }
    this.#metrics?.watchCertificates(certificates);
    if (proxy !== undefined) this.#metrics?.watchProxy(proxy);
    const old = this.#settings;
    this.#settings = this.#metrics === undefined ? {} : settings;
    if (!sameAddress(old.listen, settings.listen)) await this.#closeServer();
    const { textfile } = old;
    if (textfile !== undefined && textfile !== settings.textfile) {
      void this.#afterWrites(() => removeTextfile(textfile));
    }
    clearInterval(this.#timer);
    if (this.#metrics === undefined || !wanted) return;
    this.#timer = setInterval(() => {
      if (this.#writesWaiting === 0) void this.show();
    }, this.#options.intervalMs ?? INTERVAL_MS);
    void this.show();
  }

  /**
   * Opens the port if it is not open, and writes the file; resolves when it is written. Never
   * throws.
   */
  async show(): Promise<void> {
    const { listen, textfile } = this.#settings;
    const metrics = this.#metrics;
    if (metrics !== undefined && listen !== undefined && this.#server === undefined) {
      void this.#attempt("listen", () => this.#open(listen, metrics), LISTEN_AGAIN);
    }
    await this.#afterWrites(async () => {
      if (metrics === undefined || textfile === undefined) return;
      await this.#attempt("textfile", async () => await writeTextfile(textfile, await metrics.render()));
    });
  }

  // Runs one after another: concurrent writes would remove each other's draft.
  async #afterWrites(work: () => Promise<void>): Promise<void> {
    this.#writesWaiting++;
    this.#writes = this.#writes.then(work).finally(() => this.#writesWaiting--);
    await this.#writes;
  }

  /** Closes the port. The file stays: its aging values show that the daemon is gone. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#settings = {};
    await this.#closeServer();
  }

  #open(listen: ListenAddress, metrics: Metrics): Promise<void> {
    const handler = {
      contentType: metrics.contentType,
      render: () => metrics.render(),
      health: () => this.health(),
    };
    this.#server = serveMetrics(listen, handler, (error) => {
      this.#server = undefined;
      void this.#attempt("listen", () => Promise.reject(error), LISTEN_AGAIN);
    });
    this.#options.say("info", `serving metrics on ${this.#server.url}/metrics`);
    return Promise.resolve();
  }

  async #closeServer(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.close();
  }

  async #attempt(what: "load" | "listen" | "textfile", work: () => Promise<void>, next = "repairs continue") {
    try {
      await work();
      if (this.#troubles.delete(what) && what === "textfile") {
        this.#options.say("info", "writing the metrics again");
      }
    } catch (error) {
      const trouble = describeError(error);
      if (this.#troubles.get(what) === trouble) return;
      this.#troubles.set(what, trouble);
      this.#options.say("warning", `${trouble}; ${next}`);
    }
  }
}

function sameAddress(left: ListenAddress | undefined, right: ListenAddress | undefined): boolean {
  return left?.hostname === right?.hostname && left?.port === right?.port;
}
