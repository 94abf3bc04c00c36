// The fake containerd itself: that it answers as a real one does, that it is strict, and what it offers
// to tests.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Content } from "../../lib/runtime/containerd/messages/content_pb.ts";
import { ImageService } from "../../lib/runtime/containerd/messages/cri_pb.ts";
import { Events } from "../../lib/runtime/containerd/messages/events_pb.ts";
import { Images } from "../../lib/runtime/containerd/messages/images_pb.ts";
import { type FakeContainerd, fakeImage, startFakeContainerd } from "./containerd.ts";
import { RawClient } from "./grpc_call.ts";

const IMAGE = fakeImage("first");
const OTHER = fakeImage("second");
const NAME = "m.example/a/b:1";

interface Bench {
  readonly containerd: FakeContainerd;
  readonly client: RawClient;
}

function containerdTest(name: string, body: (bench: Bench) => Promise<void>): void {
  Deno.test(name, async () => {
    const dir = await Deno.makeTempDir({ prefix: "gilly-containerd-" });
    const socket = `${dir}/containerd.sock`;
    const registries = { "m.example": { state: "up" as const, images: { "a/b:1": IMAGE, "a/c:1": OTHER } } };
    const containerd = await startFakeContainerd({ socket, registries });
    const client = new RawClient(socket);
    try {
      await body({ containerd, client });
    } finally {
      client[Symbol.dispose]();
      await containerd.stop();
      await Deno.remove(dir, { recursive: true });
    }
  });
}

function pull(client: RawClient, image: string, signal?: AbortSignal) {
  return client.call(ImageService.method.pullImage, { image: { image } }, signal === undefined ? {} : { signal });
}

containerdTest("what containerd does not have, or is not asked for, is recorded", async ({ containerd, client }) => {
  for (
    const path of [
      "/runtime.v1.RuntimeService/Nope",
      "/no.such.Service/X",
      "/containerd.services.images.v1.Images/Delete",
    ]
  ) {
    const { response } = await client.send(path, new Uint8Array(5));
    assertEquals(response.headers.get("grpc-status"), "12", path);
  }
  const read = "/containerd.services.content.v1.Content/Read";
  assertEquals((await client.send(read, new Uint8Array(5))).response.headers.get("grpc-status"), "12");
  const elsewhere = { headers: { "content-type": "application/grpc", "containerd-namespace": "default" } };
  assertEquals((await client.call(Images.method.get, { name: NAME }, elsewhere)).status, 12);
  assertEquals(containerd.unexpected, [
    "/runtime.v1.RuntimeService/Nope: unknown method Nope for service runtime.v1.RuntimeService",
    "/no.such.Service/X: unknown service no.such.Service",
    "/containerd.services.images.v1.Images/Delete: unknown method Delete for service containerd.services.images.v1.Images",
    `${read}: unknown method Read for service containerd.services.content.v1.Content`,
    "/containerd.services.images.v1.Images/Get in the namespace default",
  ]);
});

containerdTest("an event without a body ends containerd 1.6, and the fake", async ({ containerd, client }) => {
  await assertRejects(() => client.call(Events.method.publish, { topic: "/x/y" }), TypeError);
  assertEquals(containerd.unexpected, ["Publish without an event"]);
});

containerdTest("a pull can be held and released, and a test can wait for calls", async ({ containerd, client }) => {
  const hold = containerd.hold("layers", NAME);
  const held = pull(client, NAME);
  await hold.reached;
  await pull(client, "m.example/a/c:1");
  assertEquals([containerd.pulling, containerd.has("m.example/a/c:1"), containerd.has(NAME)], [1, true, false]);
  hold.release();
  assertEquals((await held).messages, [{ imageRef: IMAGE.id }]);
  const done = await containerd.waitFor(({ method, ended }) => method === "PullImage" && ended === "complete");
  assertEquals([done.status, containerd.pulling, containerd.mostPulling], [0, 0, 2]);
  assertEquals(containerd.pulls(), [NAME, "m.example/a/c:1"]);
  assertEquals(done.request, { image: { image: NAME } });
});

containerdTest("a pull whose client leaves is stopped and leaves nothing behind", async ({ containerd, client }) => {
  containerd.registries["m.example"]!.state = "stalled";
  const stop = new AbortController();
  const leaving = assertRejects(() => pull(client, NAME, stop.signal), Error);
  const writing = async () => (await client.call(Content.method.listStatuses, {})).messages;
  const isWriting = (messages: readonly unknown[]) => JSON.stringify(messages).includes("layer-sha256:");
  while (!isWriting(await writing()));
  stop.abort();
  await leaving;
  await containerd.waitFor(({ method, ended }) => method === "PullImage" && ended === "aborted");
  while (isWriting(await writing()));
  assertEquals([containerd.pulling, containerd.names], [0, []]);
});

containerdTest("a pull moves a tag that moved in the registry, and an alias stays", async ({ containerd, client }) => {
  await pull(client, NAME);
  const target = { mediaType: "x/y", digest: IMAGE.digest, size: 1n };
  await client.call(Images.method.create, { image: { name: "gcr.io/a/b:1", target } });
  containerd.registries["m.example"]!.images["a/b:1"] = OTHER;
  await pull(client, NAME);
  assertEquals([containerd.idOf(NAME), containerd.idOf("gcr.io/a/b:1")], [OTHER.id, IMAGE.id]);
  containerd.removeImage("gcr.io/a/b:1");
  assert(!containerd.has("gcr.io/a/b:1") && !containerd.has(IMAGE.id) && containerd.has(NAME));
});

containerdTest("a call can be answered by a test, or held", async ({ containerd, client }) => {
  containerd.intercept = ({ method }) => method === "List" ? new Response("fault", { status: 502 }) : undefined;
  assertEquals(
    (await client.send("/containerd.services.images.v1.Images/List", new Uint8Array(5))).response.status,
    502,
  );
  const gate = containerd.gates.hold("before", ({ method }) => method === "Get");
  const asking = client.call(Images.method.get, { name: "x" });
  await gate.reached;
  gate.release();
  assertEquals((await asking).status, 5);
});

containerdTest("stopping cuts off every call, and the images stay", async ({ containerd, client }) => {
  await pull(client, NAME);
  const hold = containerd.hold("headers");
  const cut = assertRejects(() => pull(client, "m.example/a/c:1"), Error);
  const following = assertRejects(() => client.call(Events.method.subscribe, {}), Error);
  await hold.reached;
  await containerd.waitFor(({ method }) => method === "Subscribe");
  await containerd.stop();
  await Promise.all([cut, following]);
  await containerd.start();
  assert(containerd.has(NAME) && containerd.events.size === 0);
});
