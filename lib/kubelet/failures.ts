// Finds the containers that wait for an image that a local copy would fix. Reads waiting reasons,
// not the pod's phase: a restarted container of a Running pod can lose its image too.

import { type Container, type ContainerKind, type ImageVolume, type Pod, podName } from "./pods.ts";

/**
 * Waiting reasons that a local image fixes (kubelet pkg/kubelet/images/types.go). Excludes
 * SignatureValidationFailed on purpose: a local copy would bypass the operator's signature policy.
 */
export const CURABLE_REASONS: ReadonlySet<string> = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "ErrImageNeverPull",
  "RegistryUnavailable",
]);

/** The kubelet cannot parse the name, so nothing can be pulled for it. */
export const INVALID_NAME_REASON = "InvalidImageName";

/**
 * The kubelet reports one of these until the first attempt to start a container ends
 * (pkg/kubelet/kubelet_pods.go).
 */
const CREATING_REASONS: ReadonlySet<string> = new Set(["ContainerCreating", "PodInitializing"]);

/** A container (or a volume it mounts) that waits for an image. */
export interface Failure {
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string; readonly phase: string };
  readonly container: string;
  readonly kind: ContainerKind;
  /** The reference as the manifest spells it. */
  readonly image: string;
  readonly imagePullPolicy: string | undefined;
  readonly reason: string;
  readonly message: string;
  readonly optedOut: boolean;
}

/** The containers that wait, sorted by whether they have failed. */
export interface Scan {
  /** Every container that waits with an image reason, in the order of the kubelet's list. */
  readonly failures: readonly Failure[];
  /**
   * Every container that waits to be created and has not failed: its image may be missing or not
   * tried yet.
   */
  readonly creating: readonly Failure[];
}

/** Sorts the waiting containers of all pods that have not ended. */
export function scanPods(pods: readonly Pod[]): Scan {
  const failures: Failure[] = [];
  const creating: Failure[] = [];
  for (const pod of pods) {
    if (pod.ended) continue;
    for (const container of pod.containers) {
      const { waiting } = container;
      if (waiting === undefined) continue;
      if (CREATING_REASONS.has(waiting.reason)) creating.push(failureOf(pod, container, container, waiting));
      else if (CURABLE_REASONS.has(waiting.reason) || waiting.reason === INVALID_NAME_REASON) {
        const wanted = failingVolume(pod.imageVolumes, waiting.message) ?? container;
        failures.push(failureOf(pod, container, wanted, waiting));
      }
    }
  }
  return { failures, creating };
}

/** Returns the names of these containers' pods, as `namespace/name`, each once. */
export function podNames(failures: readonly Failure[]): string[] {
  return [...new Set(failures.map(({ pod }) => podName(pod)))];
}

/** Reports whether the kubelet has not yet reported a failure for this image. */
export function isCreating({ reason }: Failure): boolean {
  return CREATING_REASONS.has(reason);
}

// When a mounted image fails, the container's own image is not tried. Only the message names the
// mounted image.
function failingVolume(volumes: readonly ImageVolume[], message: string): ImageVolume | undefined {
  return volumes.find((volume) => message.includes(`"${volume.image}"`));
}

function failureOf(
  pod: Pod,
  container: Container,
  wanted: Container | ImageVolume,
  waiting: NonNullable<Container["waiting"]>,
): Failure {
  return {
    pod: { namespace: pod.namespace, name: pod.name, uid: pod.uid, phase: pod.phase },
    container: container.name,
    kind: container.kind,
    image: wanted.image,
    imagePullPolicy: wanted.imagePullPolicy,
    reason: waiting.reason,
    message: waiting.message,
    optedOut: pod.optedOut,
  };
}
