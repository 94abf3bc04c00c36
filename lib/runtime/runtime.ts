// The contract of a container runtime, in the words the repair needs: look, pull, tag. One conformance suite
// (tests/contract/runtime_contract.ts) holds every implementation to it. Nothing here may delete or move an image.

import type { RegistryAuth, RemoteImage } from "../images/registry.ts";
import type { RuntimeAdvice, RuntimeInfo, Silence } from "./advice.ts";
import type { RuntimeErrorKind } from "./errors.ts";

/** An image as the runtime's store knows it. */
export interface LocalImage {
  /** Content address of the image: `sha256:…`. Two names with one id are one image. */
  readonly id: string;
  /** Names with tags, in the runtime's familiar form. */
  readonly tags: readonly string[];
  /** Names with digests: `name@sha256:…`. */
  readonly digests: readonly string[];
}

/** One step of a pull; `current` and `total` are bytes of one layer, when the runtime tells them. */
export interface PullProgress {
  readonly layer: string;
  readonly status: string;
  readonly current?: number;
  readonly total?: number;
}

/** What goes with one pull. */
export interface PullOptions {
  readonly signal: AbortSignal;
  readonly auth?: RegistryAuth | undefined;
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
}

/** What goes with one call of resolve. */
export type ResolveOptions = Pick<PullOptions, "signal" | "auth">;

/** What a pull brought. */
export interface PulledImage {
  /** Digest of the manifest or index that the registry served: `sha256:…`. */
  readonly digest: string | undefined;
  /** Sum of the sizes of the layers that were downloaded, in bytes, as far as the runtime told them. */
  readonly bytes: number;
}

/**
 * Something that may make an image wanted or absent: a pod's sandbox started, a pod's container ended (and will be started
 * again), a name or an image was removed. A hint, never the truth.
 */
export type RuntimeEvent = "sandbox-started" | "container-died" | "image-removed";

/** How to follow the events. */
export interface EventOptions {
  readonly signal: AbortSignal;
  /** From now on events arrive. */
  readonly onOpen: () => void;
  readonly onEvent: (event: RuntimeEvent) => void;
}

/** News of a runtime, for whoever counts them or says them; see InstrumentedRuntime. What our own stop ended is none. */
export interface RuntimeObserver {
  /** A call was not answered, and no other would be; told for each such call. */
  runtimeSilent?(silence: Silence): void;
  /** A call was answered, well or badly; told for each. */
  runtimeAnswers?(): void;
  /** A pull brought its image: seconds it took, bytes it downloaded. */
  pulled?(seconds: number, bytes: number): void;
  pullFailed?(seconds: number): void;
  /** A call of any kind failed, pulls included. */
  callFailed?(kind: RuntimeErrorKind): void;
}

/** Every method throws only RuntimeError, or the signal's reason when it was aborted. */
export interface Runtime {
  readonly advice: RuntimeAdvice;
  info(signal: AbortSignal): Promise<RuntimeInfo>;
  /** The image a reference resolves to locally, or undefined. The reference needs an explicit tag or digest. */
  inspect(reference: string, signal: AbortSignal): Promise<LocalImage | undefined>;
  /** Asks a registry what it has under a reference with an explicit tag or digest; undefined when it has no such image. */
  resolve(reference: string, options: ResolveOptions): Promise<RemoteImage | undefined>;
  /** Pulls one reference with an explicit tag or digest. Resolves only when the runtime said the image is complete. */
  pull(reference: string, options: PullOptions): Promise<PulledImage>;
  /** Gives the image `source` the additional name `name:tag`. The runtime overwrites silently: check first. */
  tag(source: string, target: { readonly name: string; readonly tag: string }, signal: AbortSignal): Promise<void>;
  /** Hands over events as they happen. It ends only by throwing: the stream broke, or the signal was aborted. */
  events(options: EventOptions): Promise<never>;
  /** Closes connections; later calls fail. */
  close(): void;
}
