// The demo's worker, in one process: a kubelet whose pods cannot pull, a Docker Engine that reaches
// only the company mirror, and Gilly's files. It does not run Gilly.

import { fakeImage } from "../fakes/docker_engine.ts";
import type { PodDescription } from "../fakes/kubelet_pods.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";

const MIRROR = "docker.repo.eng.netapp.com";
const PRESENT = `${MIRROR}/shop/metrics:1.9`;

/** The only image that no rule maps; its container is expected to keep waiting. */
export const UNREPAIRABLE = "registry.example/legacy/report:7";

const PODS: readonly PodDescription[] = [
  { name: "myapp", containers: [{ name: "myapp", image: "gcr.io/sgryczan/ansible-runner:0.0.0" }] },
  {
    name: "node-probe",
    namespace: "monitoring",
    containers: [{ name: "probe", image: "quay.io/platform/observability/node-probe:v1.4.2" }],
  },
  {
    name: "kube-proxy-worker10",
    namespace: "kube-system",
    isStatic: true,
    containers: [{ name: "kube-proxy", image: "k8s.gcr.io/kube-proxy:v1.18.2" }],
  },
  {
    name: "checkout",
    namespace: "shop",
    containers: [
      { name: "metrics", image: PRESENT },
      { name: "checkout", image: "gcr.io/shop/checkout:2.3.1" },
    ],
  },
  { name: "report", namespace: "legacy", containers: [{ name: "report", image: UNREPAIRABLE }] },
];

// The origins are not listed, so their names do not resolve.
const MIRRORED = {
  "sgryczan/ansible-runner:0.0.0": fakeImage("ansible-runner", [2_800_000, 41_000_000]),
  "platform/observability/node-probe:v1.4.2": fakeImage("node-probe", [2_800_000, 9_300_000]),
  "google_containers/kube-proxy:v1.18.2": fakeImage("kube-proxy", [21_000_000, 17_000_000]),
  "shop/checkout:2.3.1": fakeImage("checkout", [2_800_000, 66_000_000]),
};

const RULES = `
registries:
  gcr.io: ${MIRROR}
  quay.io: ${MIRROR}
  k8s.gcr.io: ${MIRROR}/google_containers
poll:
  interval: 1s
`;

/** Starts the worker and lets its pods fail. It writes only to one temporary folder. */
export async function startWorker(): Promise<FakeNode> {
  return await startNode({
    pods: PODS,
    images: { [PRESENT]: fakeImage("metrics") },
    engine: { registries: { [MIRROR]: { state: "slow", images: MIRRORED } } },
    config: RULES,
  });
}
