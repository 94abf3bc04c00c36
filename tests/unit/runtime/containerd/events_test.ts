import { assertEquals, assertRejects } from "@std/assert";
import { EVENT_FILTERS, eventOf, OWN_TOPIC } from "../../../../lib/runtime/containerd/events.ts";
import type { RuntimeEvent } from "../../../../lib/runtime/runtime.ts";
import { failure, frame, rawAnswer } from "../../../fakes/containerd.ts";
import { answering, containerdTest, failureOf } from "../../../support/containerd_bench.ts";

Deno.test("a topic means an event, or nothing", () => {
  const cases = [
    ["/tasks/start", "sandbox-started"],
    ["/tasks/exit", "container-died"],
    ["/images/delete", "image-removed"],
    ["/images/create", undefined],
    [OWN_TOPIC, undefined],
    ["toString", undefined],
    ["", undefined],
  ] as const;
  for (const [topic, event] of cases) assertEquals(eventOf(topic), event, topic);
});

Deno.test("the filters select the topics that mean something, in the kubelet's namespace", () => {
  assertEquals(EVENT_FILTERS, [
    'namespace==k8s.io,topic=="/tasks/start"',
    'namespace==k8s.io,topic=="/tasks/exit"',
    'namespace==k8s.io,topic=="/images/delete"',
    'namespace==k8s.io,topic=="/gilly/listening"',
  ]);
});

containerdTest("events open only once the subscription is in force, and then are told", async (bench) => {
  const { containerd, runtime } = bench;
  const stop = new AbortController();
  const heard: RuntimeEvent[] = [];
  const opened = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let isOpen = false;
  const gate = containerd.gates.hold("before", ({ method }) => method === "Subscribe");
  const following = runtime.events({
    signal: stop.signal,
    onOpen: () => {
      isOpen = true;
      opened.resolve();
    },
    onEvent: (event) => {
      heard.push(event);
      if (heard.length === 3) second.resolve();
    },
  });
  const ending = assertRejects(() => following, Error, "enough");
  await gate.reached;
  await containerd.waitFor(({ method, status }) => method === "Publish" && status === 0);
  assertEquals(isOpen, false);
  gate.release();
  await opened.promise;
  assertEquals(containerd.events.size, 1);
  containerd.events.tell("/tasks/start", "sandbox");
  containerd.events.tell("/tasks/start", "elsewhere", "moby");
  containerd.events.tell("/images/create", "a/b:1");
  containerd.events.tell("/tasks/exit", "sandbox");
  containerd.events.tell("/images/delete", "a/b:1");
  await second.promise;
  assertEquals(heard, ["sandbox-started", "container-died", "image-removed"]);
  stop.abort(new Error("enough"));
  await ending;
  await containerd.waitFor(({ method, ended }) => method === "Subscribe" && ended === "aborted");
  assertEquals(containerd.events.size, 0);
});

containerdTest("an event that is published has a body, without which containerd 1.6 ends", async (bench) => {
  const { containerd, runtime } = bench;
  const stop = new AbortController();
  const following = runtime.events({
    signal: stop.signal,
    onOpen: () => stop.abort(new Error("open")),
    onEvent: () => {},
  });
  await assertRejects(() => following, Error, "open");
  const published = containerd.journal.filter(({ method }) => method === "Publish").map(({ request }) => request);
  assertEquals(published[0], { topic: OWN_TOPIC, event: {} });
});

containerdTest("a stream of events that ends is unreachable", async ({ containerd, runtime, signal }) => {
  const opened = Promise.withResolvers<void>();
  const following = runtime.events({ signal, onOpen: opened.resolve, onEvent: () => {} });
  const broken = failureOf("unreachable", () => following);
  await opened.promise;
  containerd.events.end();
  assertEquals((await broken).message, "follow the events of containerd: containerd ended the stream");
});

containerdTest("a stream of events that cannot be read is unreachable", async ({ containerd, runtime, signal }) => {
  const answers = [
    () => rawAnswer(frame(new Uint8Array([255, 255]))),
    () => rawAnswer(new Uint8Array([0, 0, 0, 0, 9, 1])),
    () => failure(12, "unknown service"),
  ];
  for (const answer of answers) {
    containerd.intercept = answering("Subscribe", answer);
    const error = await failureOf("unreachable", () => runtime.events({ signal, onOpen: () => {}, onEvent: () => {} }));
    // Other calls are answered.
    assertEquals(error.silence, undefined);
  }
});

containerdTest("events fail if none can be published", async ({ containerd, runtime, signal }) => {
  containerd.intercept = answering("Publish", () => failure(9, "namespace is required: failed precondition"));
  const follow = () => runtime.events({ signal, onOpen: () => {}, onEvent: () => {} });
  const error = await failureOf("failed", follow);
  assertEquals(error.message, "follow the events of containerd: namespace is required: failed precondition");
  await containerd.waitFor(({ method, ended }) => method === "Subscribe" && ended === "aborted");
});

containerdTest("a subscription that is not answered in time is given up", async ({ containerd, runtime, signal }) => {
  const gate = containerd.gates.hold("before", ({ method }) => method === "Subscribe");
  const error = await failureOf("unreachable", () => runtime.events({ signal, onOpen: () => {}, onEvent: () => {} }));
  gate.release();
  const text = "follow the events of containerd: no event arrived within 0.3 s, not even our own";
  assertEquals([error.message, error.silence], [text, undefined]);
  await containerd.waitFor(({ method, ended }) => method === "Subscribe" && ended === "aborted");
}, { callTimeoutMs: 300 });
