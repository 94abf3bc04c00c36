// The fields of a pod that Gilly reads, and their validation. A malformed pod does not affect the
// others.

import { type Fields, isFields } from "../support/json.ts";
import { quote } from "../support/text.ts";

/** The list in the pod's spec that contains a container; the kubelet starts them in this order. */
export type ContainerKind = "init" | "regular" | "ephemeral";

/** A container of a pod, with its status if the kubelet has one. */
export interface Container {
  readonly name: string;
  readonly kind: ContainerKind;
  /** The image as the manifest spells it. The status may show another name of the same image, so it is never used. */
  readonly image: string;
  readonly imagePullPolicy: string | undefined;
  /** Why the container does not run, if the kubelet reports it as waiting. */
  readonly waiting: { readonly reason: string; readonly message: string } | undefined;
}

/**
 * An image mounted as a volume (Kubernetes 1.31 and later). Its failure appears on the containers
 * that mount it.
 */
export interface ImageVolume {
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy: string | undefined;
}

/** A pod as the kubelet reports it. */
export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly phase: string;
  /** Ended (Succeeded, Failed) or being deleted: the kubelet will not start its containers again. */
  readonly ended: boolean;
  /** The annotation `gilly.io/repair: "false"`. */
  readonly optedOut: boolean;
  readonly containers: readonly Container[];
  readonly imageVolumes: readonly ImageVolume[];
}

/** The kubelet's answer. */
export interface PodList {
  readonly pods: readonly Pod[];
  /** One sentence for each entry that is not a valid pod. */
  readonly malformed: readonly string[];
  /**
   * The runtime of the kubelet, as it begins the ids of containers (`docker`, `containerd`,
   * `cri-o`); undefined before the first container. (kubernetes, pkg/kubelet/container, ContainerID)
   */
  readonly runtime: string | undefined;
}

/** Returns the pod's name, unique on the node: `namespace/name`. */
export function podName({ namespace, name }: Pick<Pod, "namespace" | "name">): string {
  return `${namespace}/${name}`;
}

/** The annotation with which a pod opts out, if its value is "false". */
export const REPAIR_ANNOTATION = "gilly.io/repair";

/** Thrown when the kubelet's answer is not a list of pods; the message says what it is instead. */
export class PodListError extends Error {
  override name = "PodListError";
}

/**
 * Longer names, images and messages are cut on input. No Kubernetes name and no reference is this
 * long, so a cut one is invalid either way, and a megabyte would be copied into every state and
 * ledger.
 */
const LONGEST_TEXT = 5000;

/**
 * Validates a kubelet's PodList (core/v1, as `GET /pods` returns it; `items` is null if there are
 * no pods). Throws PodListError if the answer is not a PodList.
 */
export function readPodList(answer: unknown): PodList {
  if (!isFields(answer)) throw new PodListError(`expected a PodList, got ${nameOfType(answer)}`);
  if (answer.kind !== undefined && answer.kind !== "PodList" && answer.kind !== "List") {
    throw new PodListError(`expected a PodList, got kind ${quote(String(answer.kind))}`);
  }
  if (!("items" in answer)) throw new PodListError("expected a PodList, got an object without items");
  if (answer.items === null) return { pods: [], malformed: [], runtime: undefined };
  if (!Array.isArray(answer.items)) {
    throw new PodListError(`expected a list of pods in items, got ${nameOfType(answer.items)}`);
  }
  const pods: Pod[] = [];
  const malformed: string[] = [];
  for (const [index, item] of answer.items.entries()) {
    const pod = readPod(item);
    if (typeof pod === "string") malformed.push(`items[${index}]: ${pod}`);
    else pods.push(pod);
  }
  return { pods, malformed, runtime: runtimeIn(answer.items) };
}

function runtimeIn(items: readonly unknown[]): string | undefined {
  for (const item of list(items)) {
    const status = isFields(item.status) ? item.status : {};
    for (const { containerID } of [...list(status.initContainerStatuses), ...list(status.containerStatuses)]) {
      const scheme = typeof containerID === "string"
        ? /^([a-z][a-z0-9.-]{0,30}):\/\//.exec(containerID)?.[1]
        : undefined;
      if (scheme !== undefined) return scheme;
    }
  }
  return undefined;
}

/** Returns the pod, or a sentence that says what it lacks. */
function readPod(item: unknown): Pod | string {
  if (!isFields(item)) return `expected a pod, got ${nameOfType(item)}`;
  const { metadata, spec, status } = item;
  if (!isFields(metadata)) return "a pod without metadata";
  const name = metadata.name;
  if (typeof name !== "string" || name === "") return "a pod without a name";
  if (!isFields(spec)) return `pod ${quote(name)} has no spec`;
  const state = isFields(status) ? status : {};
  const phase = text(state.phase);
  const annotations = isFields(metadata.annotations) ? metadata.annotations : {};
  return {
    namespace: text(metadata.namespace) || "default",
    name: text(name),
    uid: text(metadata.uid),
    phase,
    ended: phase === "Succeeded" || phase === "Failed" || typeof metadata.deletionTimestamp === "string",
    optedOut: annotations[REPAIR_ANNOTATION] === "false",
    containers: [
      ...readContainers("init", spec.initContainers, state.initContainerStatuses),
      ...readContainers("regular", spec.containers, state.containerStatuses),
      ...readContainers("ephemeral", spec.ephemeralContainers, state.ephemeralContainerStatuses),
    ],
    imageVolumes: readImageVolumes(spec.volumes),
  };
}

function readContainers(kind: ContainerKind, specs: unknown, statuses: unknown): Container[] {
  const containers: Container[] = [];
  for (const spec of list(specs)) {
    if (typeof spec.name !== "string" || typeof spec.image !== "string") continue;
    containers.push({
      name: text(spec.name),
      kind,
      image: text(spec.image),
      imagePullPolicy: typeof spec.imagePullPolicy === "string" ? text(spec.imagePullPolicy) : undefined,
      waiting: readWaiting(spec.name, statuses),
    });
  }
  return containers;
}

function readWaiting(name: string, statuses: unknown): Container["waiting"] {
  const status = list(statuses).find((status) => status.name === name);
  const waiting = isFields(status?.state) ? status.state.waiting : undefined;
  if (!isFields(waiting)) return undefined;
  return { reason: text(waiting.reason), message: text(waiting.message) };
}

function readImageVolumes(volumes: unknown): ImageVolume[] {
  const found: ImageVolume[] = [];
  for (const volume of list(volumes)) {
    if (!isFields(volume.image) || typeof volume.image.reference !== "string") continue;
    found.push({
      name: text(volume.name),
      image: text(volume.image.reference),
      imagePullPolicy: typeof volume.image.pullPolicy === "string" ? text(volume.image.pullPolicy) : undefined,
    });
  }
  return found;
}

function list(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value.slice(0, LONGEST_TEXT) : "";
}

function nameOfType(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
