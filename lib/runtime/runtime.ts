// The contract of a container runtime, as far as repairs need it: inspect, pull, tag. One
// conformance suite (tests/contract/runtime_contract.ts) checks every implementation. Nothing here
// may delete or move an image.

import type { RegistryAuth, RemoteImage } from "../images/registry.ts";
import type { RuntimeAdvice, RuntimeInfo, Silence } from "./advice.ts";
import type { RuntimeErrorKind } from "./errors.ts";

/** An image in the runtime's store. */
export interface LocalImage {
  /** Content address of the image: `sha256:…`. Two names with the same id are the same image. */
  readonly id: string;
  /** Names with tags, in the runtime's familiar form. */
  readonly tags: readonly string[];
  /** Names with digests: `name@sha256:…`. */
  readonly digests: readonly string[];
}

/** One step of a pull; `current` and `total` are bytes of a layer, if the runtime reports them. */
export interface PullProgress {
  readonly layer: string;
  readonly status: string;
  readonly current?: number;
  readonly total?: number;
}

/** Options of one pull. */
export interface PullOptions {
  readonly signal: AbortSignal;
  readonly auth?: RegistryAuth | undefined;
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
}

/** Options of one call of `resolve`. */
export type ResolveOptions = Pick<PullOptions, "signal" | "auth">;

/** See Runtime. */
export type Resolve = (reference: string, options: ResolveOptions) => Promise<RemoteImage | undefined>;

/** The result of a pull. */
export interface PulledImage {
  /** Digest of the manifest or index that the registry served: `sha256:…`. */
  readonly digest: string | undefined;
  /** Total size of the downloaded layers in bytes, as far as the runtime reported it. */
  readonly bytes: number;
}

/**
 * An event that may make an image wanted or absent: a pod's sandbox started, a pod's container
 * ended (and will be restarted), a name or an image was removed. A hint, not a reliable fact.
 */
export type RuntimeEvent = "sandbox-started" | "container-died" | "image-removed";

/** Options of `events`. */
export interface EventOptions {
  readonly signal: AbortSignal;
  /** Called once the stream is open: events arrive from now on. */
  readonly onOpen: () => void;
  readonly onEvent: (event: RuntimeEvent) => void;
}

/** Notifications from InstrumentedRuntime. Calls ended by our own stop are not reported. */
export interface RuntimeObserver {
  /** A call was not answered, and no other call would be; reported for each such call. */
  runtimeSilent?(silence: Silence): void;
  /** A call was answered, successfully or not; reported for each call. */
  runtimeAnswers?(): void;
  /** A pull succeeded: seconds it took, bytes it downloaded. */
  pulled?(seconds: number, bytes: number): void;
  pullFailed?(seconds: number): void;
  /** A call of any kind failed, pulls included. */
  callFailed?(kind: RuntimeErrorKind): void;
}

/** Every method throws only RuntimeError, or the signal's reason when it was aborted. */
export interface Runtime {
  readonly advice: RuntimeAdvice;
  info(signal: AbortSignal): Promise<RuntimeInfo>;
  /**
   * Returns the image that a reference resolves to locally, or undefined. The reference needs an
   * explicit tag or digest.
   */
  inspect(reference: string, signal: AbortSignal): Promise<LocalImage | undefined>;
  /**
   * Queries the registry for a reference with an explicit tag or digest; returns undefined if it
   * has no such image. Undefined for a runtime that cannot ask a registry without pulling.
   */
  readonly resolve: Resolve | undefined;
  /**
   * Pulls one reference with an explicit tag or digest. Resolves only after the runtime has
   * reported the image as complete.
   */
  pull(reference: string, options: PullOptions): Promise<PulledImage>;
  /** Gives the image `source` the additional name `name:tag`. The runtime overwrites silently: check first. */
  tag(source: string, target: { readonly name: string; readonly tag: string }, signal: AbortSignal): Promise<void>;
  /** Delivers events until it throws: because the stream broke, or the signal was aborted. */
  events(options: EventOptions): Promise<never>;
  /** Closes the connections; later calls fail. */
  close(): void;
}
