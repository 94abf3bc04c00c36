// The observer that counts events, and renders the counts for Prometheus. It opens nothing and
// reads no clock; lib/metrics/exporter.ts serves the text.

import type { Candidate } from "../images/rules.ts";
import { KubeletError } from "../kubelet/errors.ts";
import type { CandidateAttempt } from "../plan/outcome.ts";
import type { Target } from "../plan/plan.ts";
import type { Observer, RepairEnd } from "../repair/observer.ts";
import type { RuntimeErrorKind } from "../runtime/errors.ts";
import { isHost, type MirrorState } from "../status/mirror_states.ts";
import type { NodeState } from "../status/node_state.ts";
import type { ProxyState } from "../status/proxy_state.ts";
import {
  CONTAINER_LABELS,
  type Instruments,
  type Library,
  makeInstruments,
  PULL_RESULTS,
  type PullResult,
} from "./instruments.ts";

/**
 * The certificates whose expiry is exported: our own for the kubelet, and the CA that verifies the
 * kubelet's.
 */
export type CertificateName = "kubelet-client" | "kubelet-ca";

/**
 * Returns when each certificate expires, in seconds since the epoch; one that cannot be read is
 * left out.
 */
export type CertificateClock = () => Promise<ReadonlyMap<CertificateName, number>>;

/** What is known of the registry proxy: undefined where it is not installed. */
export type ProxyWatch = () => Promise<SeenProxy | undefined>;

/** The proxy's state, undefined while it does not run, and the registries of the config that are led to it. */
export interface SeenProxy {
  readonly state: ProxyState | undefined;
  readonly redirected: ReadonlyMap<string, boolean>;
}

/** Facts about the process. */
export interface MetricsOptions {
  readonly version: string;
  /** The version of the Deno runtime. */
  readonly deno: string;
  /** When the process started, in milliseconds since the epoch. */
  readonly startedAt: number;
  readonly residentBytes: () => number;
}

/** All counts since it was created. Its observer methods never throw. */
export class Metrics implements Observer {
  readonly #is: Instruments;
  readonly #options: MetricsOptions;
  #mirrors: readonly string[] = [];
  #certificates: CertificateClock = () => Promise.resolve(new Map());
  #proxy: ProxyWatch = () => Promise.resolve(undefined);

  constructor(library: Library, options: MetricsOptions) {
    this.#is = makeInstruments(library);
    this.#options = options;
    this.#is.build.set({ version: options.version, deno: options.deno }, 1);
    this.#is.started.set(options.startedAt / 1000);
    this.#is.configAccepted.set(1);
  }

  /** The media type of what `render` returns. */
  get contentType(): string {
    return this.#is.registry.contentType;
  }

  /** Returns all metrics in the text format of Prometheus (exposition format 0.0.4). */
  async render(): Promise<string> {
    this.#is.memory.set(this.#options.residentBytes());
    const expiries = await this.#certificates();
    this.#is.certificateExpiry.reset();
    for (const [certificate, seconds] of expiries) this.#is.certificateExpiry.set({ certificate }, seconds);
    this.#showProxy(await this.#proxy());
    return await this.#is.registry.metrics();
  }

  /** Exports these certificates from now on: those of the current config. */
  watchCertificates(certificates: CertificateClock): void {
    this.#certificates = certificates;
  }

  /** Exports this proxy from now on: that of the current config. */
  watchProxy(proxy: ProxyWatch): void {
    this.#proxy = proxy;
  }

  /** Records the current state of the node. */
  publish(state: NodeState): void {
    if (state.lastGoodPassAt !== null) this.#is.lastGoodPass.set(Date.parse(state.lastGoodPassAt) / 1000);
    if (state.podCount !== null) this.#is.pods.set(state.podCount);
    this.#is.repairsUnderWay.set(state.images.repairing);
    this.#is.configAccepted.set(state.trouble.config === null ? 1 : 0);
    for (const labels of CONTAINER_LABELS) {
      const alike = state.containers.filter((container) =>
        container.state === labels.state && (labels.reason === "" || container.reason === labels.reason)
      );
      this.#is.containers.set({ ...labels }, alike.length);
    }
    this.#showMirrors(state.mirrors);
  }

  passed(good: boolean, seconds: number): void {
    this.#is.passes.observe({ result: good ? "good" : "failed" }, Math.max(0, seconds));
  }

  candidateFailed(_target: Target, { candidate, failure }: CandidateAttempt): void {
    if (failure !== "cooling-down") this.#mirrorAnswered(candidate.mirror, failure);
  }

  tagged(_target: Target, { mirror }: Candidate): void {
    this.#mirrorAnswered(mirror, "delivered");
  }

  finished({ outcome }: RepairEnd): void {
    const reason = outcome.result === "failed" ? outcome.reason ?? "" : "";
    this.#is.repairs.inc({ result: outcome.result, reason });
  }

  pulled(seconds: number, bytes: number): void {
    this.#is.pulls.observe({ result: "delivered" }, Math.max(0, seconds));
    this.#is.pulledBytes.inc(Math.max(0, bytes));
  }

  pullFailed(seconds: number): void {
    this.#is.pulls.observe({ result: "failed" }, Math.max(0, seconds));
  }

  callFailed(kind: RuntimeErrorKind): void {
    this.#is.runtimeErrors.inc({ kind });
  }

  kubeletFailed(error: unknown): void {
    if (error instanceof KubeletError) this.#is.kubeletErrors.inc({ kind: error.kind });
  }

  ledgerFailed(): void {
    this.#is.ledgerErrors.inc();
  }

  // The proxy counts since its own start, and a stopped one shows no counts.
  #showProxy(seen: SeenProxy | undefined): void {
    const { proxyUp, proxyRedirected, proxyServed, proxyBytes, proxyNotServed, proxyResumed } = this.#is;
    for (const single of [proxyUp, proxyNotServed, proxyResumed]) single.remove();
    for (const labeled of [proxyRedirected, proxyServed, proxyBytes]) labeled.reset();
    if (seen === undefined) return;
    const { state, redirected } = seen;
    proxyUp.set(state === undefined ? 0 : 1);
    for (const [registry, isLed] of redirected) proxyRedirected.set({ registry }, isLed ? 1 : 0);
    if (state === undefined) return;
    proxyNotServed.inc(state.totals.notServed);
    proxyResumed.inc(state.totals.resumed);
    for (const { mirror, served, bytes } of state.mirrors.filter(isHost)) {
      proxyServed.inc({ mirror }, served);
      proxyBytes.inc({ mirror }, bytes);
    }
  }

  // Counts a mirror's answer. A pull from a mirror that was removed from the config may still end;
  // it is not counted.
  #mirrorAnswered(mirror: string, result: PullResult): void {
    if (this.#mirrors.includes(mirror)) this.#is.mirrorPulls.inc({ mirror, result });
  }

  // Mirrors change with the config, and paths at them are there only while they fail; the series of
  // removed ones would otherwise stay forever.
  #showMirrors(mirrors: readonly MirrorState[]): void {
    const hosts = mirrors.map(({ mirror }) => mirror);
    for (const mirror of this.#mirrors.filter((mirror) => !hosts.includes(mirror))) {
      this.#is.mirrorUp.remove({ mirror });
      this.#is.mirrorCoolingDown.remove({ mirror });
      for (const result of PULL_RESULTS) this.#is.mirrorPulls.remove({ mirror, result });
    }
    for (const { mirror, state } of mirrors) {
      if (isHost({ mirror }) && !this.#mirrors.includes(mirror)) {
        this.#is.mirrorPulls.inc({ mirror, result: "delivered" }, 0);
      }
      this.#is.mirrorUp.set({ mirror }, state === "up" || state === "unknown" ? 1 : 0);
      this.#is.mirrorCoolingDown.set({ mirror }, state === "cooling-down" ? 1 : 0);
    }
    this.#mirrors = hosts;
  }
}
