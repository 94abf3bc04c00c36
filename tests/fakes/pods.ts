// Pods as they appear in a kubelet's answer, for tests of the modules that read it.

/** The fields of a pod that tests change. */
export interface WaitingPod {
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    annotations?: Record<string, unknown>;
    deletionTimestamp?: string;
  };
  spec: { containers: { name: string; image: string; imagePullPolicy?: string }[] };
  status: {
    phase: string;
    containerStatuses: { name: string; image: string; state: { waiting: { reason: string; message: string } } }[];
  };
}

/** Returns a pod whose only container, `app`, waits for its image. */
export function waitingPod(
  name: string,
  image: string,
  options: { reason?: string; message?: string; phase?: string; namespace?: string; imagePullPolicy?: string } = {},
): WaitingPod {
  const { reason = "ImagePullBackOff", message = `Back-off pulling image "${image}"`, phase = "Pending" } = options;
  const { namespace = "default", imagePullPolicy = "IfNotPresent" } = options;
  return {
    metadata: { name, namespace, uid: `uid-of-${namespace}-${name}` },
    spec: { containers: [{ name: "app", image, imagePullPolicy }] },
    status: { phase, containerStatuses: [{ name: "app", image, state: { waiting: { reason, message } } }] },
  };
}

/** Returns a kubelet's answer with these items. */
export function listOf(...items: readonly unknown[]): unknown {
  return { kind: "PodList", apiVersion: "v1", metadata: {}, items };
}
