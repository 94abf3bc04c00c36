// How a kubelet moves the containers of one pod from waiting to running, one sync at a time
// (pkg/kubelet/images, image_manager.go, and pkg/kubelet, kubelet_pods.go). It uses no clock and no
// sockets: the caller decides when to sync.

import { parseFakeReference } from "./image_store.ts";

/** One container of a manifest. */
export interface ContainerDescription {
  readonly name: string;
  readonly image: string;
  /**
   * By default what admission fills in: Always for `:latest` and for a reference without tag or
   * digest, IfNotPresent otherwise.
   */
  readonly imagePullPolicy?: "Always" | "IfNotPresent" | "Never";
}

/** A pod's manifest. */
export interface PodDescription {
  readonly name: string;
  /** By default `default`. */
  readonly namespace?: string;
  readonly containers: readonly ContainerDescription[];
  readonly initContainers?: readonly ContainerDescription[];
  readonly ephemeralContainers?: readonly ContainerDescription[];
  readonly annotations?: Readonly<Record<string, string>>;
  /** Whether the pod comes from a manifest file on the node instead of the API server. */
  readonly isStatic?: boolean;
}

/** The images of a node as the kubelet sees them. Every reference has a tag or a digest. */
export interface NodeImages {
  /** Whether the runtime has this image. */
  isPresent(reference: string): boolean | Promise<boolean>;
  /**
   * Returns the runtime's name for a container's image: for Docker the first of its tags. By
   * default the reference.
   */
  nameOf?(reference: string): string | Promise<string>;
  /**
   * Returns the error of the kubelet's own pull; undefined if the pull succeeds. By default every
   * registry is unreachable.
   */
  pullError?(reference: string): string | undefined | Promise<string | undefined>;
}

/** A runtime, as a kubelet names it in the ids of containers. */
export type RuntimeScheme = "docker" | "containerd" | "cri-o";

/** One container as a table row; `state` is Running, Completed or the waiting reason. */
export interface ContainerView {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly image: string;
  readonly state: string;
  readonly message: string;
}

interface Terminated {
  readonly terminated: { readonly exitCode: number; readonly reason: string };
}
type State =
  | { readonly waiting: { readonly reason: string; readonly message?: string } }
  | { running: object }
  | Terminated;

interface ContainerRecord {
  /** `docker://HEX`, as long as it has one. */
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy: string;
  state: State;
  lastState: Terminated | Record<never, never>;
  restartCount: number;
  /** The image in the status: once the container is created, the runtime's name for it. */
  shownImage: string;
}

/** Longest back-off, in syncs: 300 s at one sync every 10 s. */
const LONGEST_BACK_OFF = 30;

/** One pod on the node. */
export class ModelPod {
  readonly #description: PodDescription;
  readonly namespace: string;
  readonly name: string;
  readonly #uid = crypto.randomUUID();
  readonly #init: readonly ContainerRecord[];
  readonly #regular: readonly ContainerRecord[];
  readonly #ephemeral: readonly ContainerRecord[];
  readonly #backOff = new Map<string, { failures: number; until: number }>();
  #syncs = 0;
  #deletedAt: string | undefined;

  constructor(description: PodDescription, runtime: RuntimeScheme = "docker") {
    const { name, namespace = "default", containers, initContainers = [], ephemeralContainers = [] } = description;
    this.#description = description;
    this.name = name;
    this.namespace = namespace;
    const reason = initContainers.length > 0 ? "PodInitializing" : "ContainerCreating";
    this.#init = initContainers.map((container) => recordOf(container, "PodInitializing", runtime));
    this.#regular = containers.map((container) => recordOf(container, reason, runtime));
    this.#ephemeral = ephemeralContainers.map((container) => recordOf(container, "ContainerCreating", runtime));
  }

  /** Syncs the pod once: starts every container that is due and whose image is available. */
  async sync(images: NodeImages): Promise<void> {
    this.#syncs++;
    for (const container of this.#ephemeral) await this.#start(container, images);
    for (const container of this.#init) {
      if ("running" in container.state) container.state = { terminated: { exitCode: 0, reason: "Completed" } };
      if ("terminated" in container.state) continue;
      return await this.#start(container, images);
    }
    for (const container of this.#regular) await this.#start(container, images);
  }

  /** Kills a running container; the next sync tries to start it again. */
  kill(name: string): void {
    const container = this.#regular.find((container) => container.name === name);
    if (!container || !("running" in container.state)) throw new TypeError(`${this.name}: ${name} does not run`);
    container.lastState = { terminated: { exitCode: 137, reason: "Error" } };
    container.state = { waiting: { reason: "ContainerCreating" } };
    container.restartCount++;
  }

  /** Marks the pod as being deleted: it stays in the list, with a deletionTimestamp. */
  markDeleted(at: Date): void {
    this.#deletedAt = at.toISOString();
  }

  views(): ContainerView[] {
    return [...this.#init, ...this.#regular, ...this.#ephemeral].map((container) => {
      const { state, name, image } = container;
      const waiting = "waiting" in state ? state.waiting : undefined;
      const shown = waiting?.reason ?? ("running" in state ? "Running" : "Completed");
      const message = waiting?.message ?? "";
      return { namespace: this.namespace, pod: this.name, container: name, image, state: shown, message };
    });
  }

  /** Returns the pod as it appears in a core/v1 PodList. */
  toJSON(): unknown {
    const { annotations, isStatic = false } = this.#description;
    const source = { "kubernetes.io/config.source": isStatic ? "file" : "api" };
    return {
      metadata: {
        name: this.name,
        namespace: this.namespace,
        uid: isStatic ? this.#uid.replaceAll("-", "") : this.#uid,
        creationTimestamp: isStatic ? null : "2020-05-16T01:00:00Z",
        ...(this.#deletedAt === undefined
          ? {}
          : { deletionTimestamp: this.#deletedAt, deletionGracePeriodSeconds: 30 }),
        annotations: { ...annotations, ...source },
      },
      spec: {
        ...listed("initContainers", this.#init.map(specOf)),
        containers: this.#regular.map(specOf),
        ...listed("ephemeralContainers", this.#ephemeral.map(specOf)),
        restartPolicy: "Always",
        nodeName: "localhost",
      },
      status: {
        phase: this.#phase(),
        ...listed("initContainerStatuses", this.#init.map(statusOf)),
        containerStatuses: this.#regular.map(statusOf),
        ...listed("ephemeralContainerStatuses", this.#ephemeral.map(statusOf)),
        qosClass: "BestEffort",
      },
    };
  }

  // A container that waits after it has run counts as stopped, so its pod is Running. Ephemeral
  // containers never count.
  #phase(): "Pending" | "Running" {
    const neverStarted = [...this.#init, ...this.#regular].some(({ state, lastState }) =>
      "waiting" in state && !("terminated" in lastState)
    );
    return neverStarted ? "Pending" : "Running";
  }

  async #start(container: ContainerRecord, images: NodeImages): Promise<void> {
    if (!("waiting" in container.state)) return;
    const problem = await this.#imageProblem(container, images);
    if (problem) {
      container.state = { waiting: problem };
      return;
    }
    container.shownImage = await images.nameOf?.(asked(container.image)) ?? container.image;
    container.state = { running: { startedAt: "2020-05-16T01:12:00Z" } };
  }

  async #imageProblem({ image, imagePullPolicy }: ContainerRecord, images: NodeImages) {
    if (parseFakeReference(image) === undefined) {
      const message = `Failed to apply default image tag "${image}": couldn't parse image reference "${image}": ` +
        "invalid reference format";
      return { reason: "InvalidImageName", message };
    }
    const isPresent = await images.isPresent(asked(image));
    if (isPresent && imagePullPolicy !== "Always") return undefined;
    if (imagePullPolicy === "Never") {
      return {
        reason: "ErrImageNeverPull",
        message: `Container image "${image}" is not present with pull policy of Never`,
      };
    }
    const before = this.#backOff.get(image) ?? { failures: 0, until: 0 };
    if (this.#syncs < before.until) return { reason: "ImagePullBackOff", message: `Back-off pulling image "${image}"` };
    const message = await (images.pullError ?? unreachable)(asked(image));
    if (message === undefined) return undefined;
    const pause = Math.min(2 ** before.failures, LONGEST_BACK_OFF);
    this.#backOff.set(image, { failures: before.failures + 1, until: this.#syncs + 1 + pause });
    return { reason: "ErrImagePull", message };
  }
}

function recordOf(
  { name, image, imagePullPolicy }: ContainerDescription,
  reason: string,
  runtime: RuntimeScheme,
): ContainerRecord {
  return {
    id: `${runtime}://${crypto.randomUUID().replaceAll("-", "").repeat(2)}`,
    name,
    image,
    imagePullPolicy: imagePullPolicy ?? (asked(image).split("@")[0]!.endsWith(":latest") ? "Always" : "IfNotPresent"),
    state: { waiting: { reason } },
    lastState: {},
    restartCount: 0,
    shownImage: image,
  };
}

/** Returns the reference with the kubelet's default tag, as it is passed to the runtime. */
function asked(image: string): string {
  const hasTagOrDigest = image.includes("@") || image.slice(image.lastIndexOf("/") + 1).includes(":");
  return hasTagOrDigest ? image : `${image}:latest`;
}

function unreachable(reference: string): string {
  const named = parseFakeReference(reference)?.host;
  const host = named === "docker.io" ? "registry-1.docker.io" : named;
  return `rpc error: code = Unknown desc = Error response from daemon: Get "https://${host}/v2/": ` +
    `dial tcp: lookup ${host}: no such host`;
}

function specOf({ name, image, imagePullPolicy }: ContainerRecord) {
  return { name, image, imagePullPolicy, resources: {}, terminationMessagePath: "/dev/termination-log" };
}

function statusOf({ id, name, state, lastState, restartCount, shownImage }: ContainerRecord) {
  const started = "running" in state;
  const wasCreated = started || "terminated" in state || "terminated" in lastState;
  // The kubelet leaves out an empty id of a container, but not that of an image.
  const imageID = wasCreated ? `${id.startsWith("docker:") ? "docker://" : ""}sha256:${"0".repeat(64)}` : "";
  const ids = wasCreated ? { imageID, containerID: id } : { imageID };
  return { name, state, lastState, ready: started, restartCount, image: shownImage, ...ids, started };
}

function listed(key: string, values: readonly unknown[]): Record<string, unknown> {
  return values.length === 0 ? {} : { [key]: values };
}
