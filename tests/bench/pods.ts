// Pods as large as real ones, about 8 kB of JSON each: what a chart renders, what admission and the
// scheduler add, and the kubelet's status. Every pod is different, so that nothing can be shared.

/** The state of the container `app` of a pod. */
export type PodState = { readonly running: object } | {
  readonly waiting: { readonly reason: string; readonly message: string };
};

const RUNNING: PodState = { running: { startedAt: "2020-05-16T01:12:00Z" } };

/** Returns a pod of two containers; the first has this image and state. */
export function realSizePod(index: number, image = `gcr.io/acme/service-${index}:1.4.2`, state = RUNNING): unknown {
  const name = `service-${index}-6d4cf56db6-${hash(index, 5)}`;
  const uid = [8, 4, 4, 4, 12].map((length) => hash(index, length)).join("-");
  const labels = {
    "app.kubernetes.io/name": `service-${index}`,
    "app.kubernetes.io/instance": `production-${index}`,
    "app.kubernetes.io/version": "1.4.2",
    "app.kubernetes.io/managed-by": "Helm",
    "helm.sh/chart": "service-3.2.1",
    "pod-template-hash": "6d4cf56db6",
  };
  return {
    metadata: {
      name,
      namespace: `team-${index % 17}`,
      uid,
      resourceVersion: String(1_000_000 + index),
      creationTimestamp: "2020-05-16T01:10:00Z",
      labels,
      annotations: {
        "checksum/config": hash(index, 64),
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9102",
        "kubernetes.io/config.seen": "2020-05-16T01:10:00.123456789Z",
        "kubernetes.io/config.source": "api",
      },
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "ReplicaSet", name: name.slice(0, -6), uid, controller: true },
      ],
      managedFields: [managedFields("kube-controller-manager"), managedFields("kubelet")],
    },
    spec: {
      volumes: [
        { name: "config", configMap: { name: `service-${index}-config`, defaultMode: 420 } },
        { name: "cache", emptyDir: {} },
        { name: `default-token-${hash(index, 5)}`, secret: { secretName: "default-token", defaultMode: 420 } },
      ],
      containers: [specOf("app", image, index), specOf("metrics", "quay.io/acme/exporter:0.9.1", index)],
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 30,
      dnsPolicy: "ClusterFirst",
      serviceAccountName: "default",
      serviceAccount: "default",
      nodeName: "worker-1",
      securityContext: { runAsNonRoot: true, fsGroup: 2000 },
      schedulerName: "default-scheduler",
      tolerations: ["not-ready", "unreachable"].map((taint) => ({
        key: `node.kubernetes.io/${taint}`,
        operator: "Exists",
        effect: "NoExecute",
        tolerationSeconds: 300,
      })),
      priority: 0,
      enableServiceLinks: true,
      preemptionPolicy: "PreemptLowerPriority",
    },
    status: {
      phase: "waiting" in state ? "Pending" : "Running",
      conditions: ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map((type) => ({
        type,
        status: "True",
        lastProbeTime: null,
        lastTransitionTime: "2020-05-16T01:12:00Z",
      })),
      hostIP: "192.0.2.17",
      podIP: `10.12.${index >> 8 & 255}.${index & 255}`,
      podIPs: [{ ip: `10.12.${index >> 8 & 255}.${index & 255}` }],
      startTime: "2020-05-16T01:10:05Z",
      containerStatuses: [
        statusOf("app", image, index, state),
        statusOf("metrics", "quay.io/acme/exporter:0.9.1", index),
      ],
      qosClass: "Burstable",
    },
  };
}

/** Returns a kubelet's answer with these pods, as bytes. */
export function podListOf(pods: readonly unknown[]): Uint8Array<ArrayBuffer> {
  const items = pods.length === 0 ? null : pods;
  return new TextEncoder().encode(JSON.stringify({ kind: "PodList", apiVersion: "v1", metadata: {}, items }));
}

/** Returns a kubelet's answer with that many running pods, as bytes. */
export function steadyNode(podCount: number): Uint8Array<ArrayBuffer> {
  return podListOf(Array.from({ length: podCount }, (_, index) => realSizePod(index)));
}

function specOf(name: string, image: string, index: number): unknown {
  const probe = (path: string) => ({
    httpGet: { path, port: 8080, scheme: "HTTP" },
    initialDelaySeconds: 10,
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3,
  });
  return {
    name,
    image,
    args: ["--config=/etc/service/config.yaml", "--listen=:8080", `--shard=${index}`],
    ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }],
    env: ["DATABASE_HOST", "DATABASE_NAME", "QUEUE_URL", "FEATURES", "REGION"].map((key) => ({
      name: key,
      value: `${key.toLowerCase()}-${hash(index, 12)}.internal.example`,
    })),
    resources: { limits: { cpu: "500m", memory: "512Mi" }, requests: { cpu: "100m", memory: "128Mi" } },
    volumeMounts: [
      { name: "config", readOnly: true, mountPath: "/etc/service" },
      { name: "cache", mountPath: "/var/cache/service" },
      { name: "default-token", readOnly: true, mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" },
    ],
    livenessProbe: probe("/healthz"),
    readinessProbe: probe("/readyz"),
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    imagePullPolicy: "IfNotPresent",
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
  };
}

function statusOf(name: string, image: string, index: number, state: PodState = RUNNING): unknown {
  const isRunning = "running" in state;
  return {
    name,
    state,
    lastState: {},
    ready: isRunning,
    restartCount: 0,
    image,
    imageID: isRunning ? `docker-pullable://${image.split(":")[0]}@sha256:${hash(index, 64)}` : "",
    ...(isRunning && { containerID: `docker://${hash(index + 7, 64)}` }),
    started: isRunning,
  };
}

function managedFields(manager: string): unknown {
  const names = ["f:name", "f:image", "f:env", "f:ports", "f:resources", "f:volumeMounts", "f:livenessProbe"];
  const container = Object.fromEntries(names.map((name) => [name, { ".": {}, "f:value": {}, "f:limits": {} }]));
  return {
    manager,
    operation: "Update",
    apiVersion: "v1",
    time: "2020-05-16T01:12:00Z",
    fieldsType: "FieldsV1",
    fieldsV1: { "f:spec": { "f:containers": { 'k:{"name":"app"}': container, 'k:{"name":"metrics"}': container } } },
  };
}

/** Returns hexadecimal digits that differ from pod to pod and are the same in every run. */
function hash(seed: number, length: number): string {
  let digits = "";
  for (let state = seed * 2_654_435_761 >>> 0; digits.length < length;) {
    state = (Math.imul(state ^ state >>> 15, 2_246_822_519) + 3_266_489_917) >>> 0;
    digits += state.toString(16).padStart(8, "0");
  }
  return digits.slice(0, length);
}
