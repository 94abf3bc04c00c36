import { assertEquals, assertThrows } from "@std/assert";
import { InvalidReferenceError, parseReference } from "../../../lib/images/reference.ts";
import { scanPods } from "../../../lib/kubelet/failures.ts";
import { PodListError, readPodList } from "../../../lib/kubelet/pods.ts";
import { listOf, waitingPod } from "../../fakes/pods.ts";

Deno.test("null for items, which an empty node returns, is an empty list of pods", () => {
  assertEquals(readPodList({ kind: "PodList", apiVersion: "v1", metadata: {}, items: null }), {
    pods: [],
    malformed: [],
    runtime: undefined,
  });
});

for (
  const [what, answer, message] of [
    ["null", null, "got null"],
    ["a string", "pods", "got a string"],
    ["a list", [], "got a list"],
    ["an error of the API", { kind: "Status", status: "Failure" }, 'got kind "Status"'],
    ["an object without items", { kind: "PodList" }, "without items"],
    ["items that are not a list", { kind: "PodList", items: {} }, "got an object"],
  ] as const
) {
  Deno.test(`an answer that is ${what} is refused with what it is`, () => {
    assertThrows(() => readPodList(answer), PodListError, message);
  });
}

Deno.test("a malformed pod does not affect the others", () => {
  const good = waitingPod("good", "gcr.io/a/b:1");
  const list = readPodList(listOf(7, good, null, { metadata: {} }, { metadata: { name: "bare" } }, { spec: {} }));
  assertEquals(list.pods.map((pod) => pod.name), ["good"]);
  assertEquals(list.malformed, [
    "items[0]: expected a pod, got a number",
    "items[2]: expected a pod, got null",
    "items[3]: a pod without a name",
    'items[4]: pod "bare" has no spec',
    "items[5]: a pod without metadata",
  ]);
});

Deno.test("malformed containers and statuses are skipped, and the others are read", () => {
  const pod = {
    metadata: { name: "odd" },
    spec: { containers: [null, { name: "no-image" }, { name: 3, image: "x" }, { name: "app", image: "gcr.io/a/b:1" }] },
    status: { containerStatuses: [5, { name: "app", state: { waiting: { reason: "ErrImagePull" } } }] },
  };
  const [read] = readPodList(listOf(pod)).pods;
  assertEquals(read?.namespace, "default");
  assertEquals(read?.containers, [{
    name: "app",
    kind: "regular",
    image: "gcr.io/a/b:1",
    imagePullPolicy: undefined,
    waiting: { reason: "ErrImagePull", message: "" },
  }]);
});

Deno.test("init, regular and ephemeral containers are found in the order in which the kubelet starts them", () => {
  const waiting = (name: string) => ({ name, state: { waiting: { reason: "ImagePullBackOff", message: "m" } } });
  const pod = {
    metadata: { name: "three", namespace: "ns", uid: "u" },
    spec: {
      initContainers: [{ name: "first", image: "gcr.io/a/init:1" }],
      containers: [{ name: "second", image: "gcr.io/a/app:1" }],
      ephemeralContainers: [{ name: "third", image: "gcr.io/a/debug:1" }],
    },
    status: {
      phase: "Pending",
      initContainerStatuses: [waiting("first")],
      containerStatuses: [waiting("second")],
      ephemeralContainerStatuses: [waiting("third")],
    },
  };
  const failures = scanPods(readPodList(listOf(pod)).pods).failures;
  assertEquals(failures.map(({ kind, image }) => [kind, image]), [
    ["init", "gcr.io/a/init:1"],
    ["regular", "gcr.io/a/app:1"],
    ["ephemeral", "gcr.io/a/debug:1"],
  ]);
});

Deno.test("the image is the one in the manifest, not the one in the status", () => {
  const pod = waitingPod("app", "gcr.io/a/b:1");
  pod.status.containerStatuses[0]!.image = "some-other-name-of-it:latest";
  assertEquals(scanPods(readPodList(listOf(pod)).pods).failures[0]?.image, "gcr.io/a/b:1");
});

for (const phase of ["Pending", "Running", "Unknown", ""]) {
  Deno.test(`a container that waits for its image is found in a pod of phase ${JSON.stringify(phase)}`, () => {
    const pod = waitingPod("app", "gcr.io/a/b:1", { phase });
    assertEquals(scanPods(readPodList(listOf(pod)).pods).failures.length, 1);
  });
}

for (const [what, change] of [["Succeeded", "phase"], ["Failed", "phase"], ["being deleted", "deletion"]] as const) {
  Deno.test(`a pod that is ${what} is left alone`, () => {
    const pod = waitingPod("app", "gcr.io/a/b:1", change === "phase" ? { phase: what } : {});
    if (change === "deletion") pod.metadata.deletionTimestamp = "2026-01-01T00:00:00Z";
    assertEquals(scanPods(readPodList(listOf(pod)).pods).failures, []);
  });
}

const REASONS: readonly (readonly [string, boolean])[] = [
  ["ErrImagePull", true],
  ["ImagePullBackOff", true],
  ["ErrImageNeverPull", true],
  ["RegistryUnavailable", true],
  ["InvalidImageName", true],
  ["SignatureValidationFailed", false],
  ["ImageInspectError", false],
  ["ContainerCreating", false],
  ["PodInitializing", false],
  ["CrashLoopBackOff", false],
  ["CreateContainerConfigError", false],
  ["", false],
];
for (const [reason, looked] of REASONS) {
  Deno.test(`waiting reason ${JSON.stringify(reason)} is ${looked ? "" : "not "}an image failure`, () => {
    const pods = readPodList(listOf(waitingPod("app", "gcr.io/a/b:1", { reason }))).pods;
    assertEquals(scanPods(pods).failures.length, looked ? 1 : 0);
  });
}

Deno.test("if an image volume fails, its reference is the one to repair", () => {
  const pod = waitingPod("app", "gcr.io/a/app:1", {
    message: 'Back-off pulling image "quay.io/data/model:2": ErrImagePull: no such host',
  });
  const withVolume = {
    ...pod,
    spec: {
      ...pod.spec,
      volumes: [{ name: "model", image: { reference: "quay.io/data/model:2", pullPolicy: "Always" } }],
    },
  };
  const [failure] = scanPods(readPodList(listOf(withVolume)).pods).failures;
  assertEquals([failure?.image, failure?.imagePullPolicy], ["quay.io/data/model:2", "Always"]);
});

Deno.test('only the annotation value "false" opts a pod out', () => {
  const optedOut = (value: unknown) => {
    const pod = waitingPod("app", "gcr.io/a/b:1");
    pod.metadata.annotations = { "gilly.io/repair": value };
    return readPodList(listOf(pod)).pods[0]?.optedOut;
  };
  assertEquals([optedOut("false"), optedOut("true"), optedOut(false), optedOut("False")], [true, false, false, false]);
});

Deno.test("overlong names, images and messages are truncated when read", () => {
  const long = `gcr.io/${"a/".repeat(500_000)}x:1`;
  const pod = waitingPod(long, long, { message: long, namespace: long, phase: long });
  const { pods } = readPodList(listOf(pod));
  const texts = [pods[0]!.name, pods[0]!.namespace, pods[0]!.phase, pods[0]!.uid];
  const { image, waiting } = pods[0]!.containers[0]!;
  for (const text of [...texts, image, waiting!.message]) assertEquals(text.length, 5000);
  // The truncated image is still invalid.
  assertThrows(() => parseReference(image), InvalidReferenceError);
});

Deno.test("the kubelet's runtime is told by the id of any container that ran", () => {
  const pod = (ids: unknown, init: unknown = []) => ({
    metadata: { name: "a" },
    spec: { containers: [] },
    status: { containerStatuses: ids, initContainerStatuses: init },
  });
  const runtimeOf = (...pods: unknown[]) => readPodList(listOf(...pods)).runtime;
  assertEquals(runtimeOf(), undefined);
  assertEquals(runtimeOf(pod([{}, { containerID: "" }]), pod("x"), pod([{ containerID: 7 }])), undefined);
  assertEquals(runtimeOf(pod([{}]), pod([{ containerID: "containerd://ab12" }])), "containerd");
  assertEquals(runtimeOf(pod([], [{ containerID: "docker://ab12" }])), "docker");
  assertEquals(runtimeOf(pod([{ containerID: "cri-o://ab12" }])), "cri-o");
  assertEquals(runtimeOf(pod([{ containerID: "no scheme" }])), undefined);
});
