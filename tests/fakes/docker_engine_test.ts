// The fake Engine itself: what it imitates beyond the runtime contract, and that it is strict.
import { assert, assertEquals } from "@std/assert";
import { type FakeDockerEngine, type FakeEngineOptions, fakeImage, startDockerEngine } from "./docker_engine.ts";
import { familiarName, parseFakeReference } from "./image_store.ts";

const IMAGE = fakeImage("first");
const OTHER = fakeImage("second");

type Call = (method: string, path: string) => Promise<{ readonly status: number; readonly text: string }>;

function engineTest(
  name: string,
  body: (engine: FakeDockerEngine, call: Call) => Promise<void>,
  options: Partial<FakeEngineOptions> = {},
): void {
  Deno.test(name, async () => {
    const dir = await Deno.makeTempDir({ prefix: "gilly-engine-" });
    const socket = `${dir}/docker.sock`;
    const registries = { "m.example": { state: "up" as const, images: { "a/b:1": IMAGE, "a/c:1": OTHER } } };
    const engine = await startDockerEngine({ socket, registries, ...options });
    const client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
    try {
      await body(engine, async (method, path) => {
        const response = await fetch(`http://docker${path}`, { method, client, redirect: "manual" });
        return { status: response.status, text: await response.text() };
      });
    } finally {
      client.close();
      await engine.stop();
      await Deno.remove(dir, { recursive: true });
    }
  });
}

engineTest("an unexpected route is answered with 404 and recorded", async (engine, call) => {
  const odd = [
    ["DELETE", "/v1.41/images/a/b:1"],
    ["GET", "/v1.41/images/json"],
    ["POST", "/v1.41/images/create?fromImage=m.example/a/b&tag=1&platform=linux"],
    ["POST", "/v1.41/images/create?fromImage=m.example/a/b"],
    ["POST", "/v1.41/images/a/b:1/tag?repo=x"],
    ["GET", "/v1.41/_ping"],
  ] as const;
  for (const [method, path] of odd) assertEquals((await call(method, path)).status, 404, path);
  assertEquals(engine.unexpected.length, odd.length);
  assertEquals(engine.unexpected[0], "DELETE /images/a/b:1?");
  engine.intercept = ({ method }) => method === "DELETE" ? new Response("fault") : undefined;
  assertEquals((await call("DELETE", "/v1.41/images/a/b:1")).text, "fault");
  assertEquals(engine.unexpected.length, odd.length);
});

engineTest("in a classic store a digest belongs to the repository that it was pulled from", async (engine, call) => {
  await call("POST", `/v1.41/images/create?fromImage=m.example/a/b&tag=${IMAGE.digest}`);
  await call("POST", `/v1.41/images/m.example/a/b@${IMAGE.digest}/tag?repo=gcr.io/a/b&tag=1`);
  assert(engine.has("gcr.io/a/b:1") && engine.has(IMAGE.id) && engine.has(`m.example/a/b@${IMAGE.digest}`));
  assert(engine.has(`m.example/a/b:ignored@${IMAGE.digest}`));
  assert(!engine.has(`gcr.io/a/b@${IMAGE.digest}`) && !engine.has(`gcr.io/a/b:1@${IMAGE.digest}`));
  assert(!engine.has(IMAGE.digest) && !engine.has("m.example/a/b:1"));
  assertEquals(engine.idOf("gcr.io/a/b:1"), IMAGE.id);
}, { imageStore: "classic" });

engineTest("in a containerd store a digest resolves through any name of its repository", async (engine, call) => {
  await call("POST", `/v1.41/images/create?fromImage=m.example/a/b&tag=${IMAGE.digest}`);
  await call("POST", `/v1.41/images/m.example/a/b@${IMAGE.digest}/tag?repo=gcr.io/a/b&tag=gilly`);
  assert(engine.has(`gcr.io/a/b@${IMAGE.digest}`) && engine.has(`gcr.io/a/b:5@${IMAGE.digest}`));
  assert(engine.has(IMAGE.digest) && !engine.has(`gcr.io/a/other@${IMAGE.digest}`));
  assertEquals(engine.idOf("gcr.io/a/b:gilly"), IMAGE.digest);
  engine.import("gcr.io/a/b:gilly", OTHER);
  assert(!engine.has(`gcr.io/a/b@${IMAGE.digest}`));
}, { imageStore: "containerd" });

engineTest("a pull moves a tag that moved in the registry, and its alias stays", async (engine, call) => {
  const pull = () => call("POST", "/v1.41/images/create?fromImage=m.example/a/b&tag=1");
  assert((await pull()).text.includes("Downloaded newer image for m.example/a/b:1"));
  await call("POST", "/v1.41/images/m.example/a/b:1/tag?repo=gcr.io/a/b&tag=1");
  assert((await pull()).text.includes("Image is up to date for m.example/a/b:1"));
  const mirror = engine.registries["m.example"];
  assert(mirror !== undefined);
  mirror.images["a/b:1"] = OTHER;
  await pull();
  assertEquals([engine.idOf("m.example/a/b:1"), engine.idOf("gcr.io/a/b:1")], [OTHER.id, IMAGE.id]);
});

engineTest(
  "removing the last name removes the image, and the last tag of a repository its digests",
  async (engine, call) => {
    await call("POST", "/v1.41/images/create?fromImage=m.example/a/b&tag=1");
    engine.import("gcr.io/a/b:1", IMAGE);
    engine.remove("m.example/a/b:1");
    assert(engine.has("gcr.io/a/b:1") && !engine.has(`m.example/a/b@${IMAGE.digest}`));
    engine.remove("gcr.io/a/b:1");
    assert(!engine.has(IMAGE.id));
  },
);

engineTest("a bare prefix of an id resolves, as in Docker", async (engine, call) => {
  engine.import("gcr.io/a/b:1", IMAGE);
  const beginning = IMAGE.id.slice("sha256:".length, "sha256:".length + 1);
  assertEquals((await call("GET", `/v1.41/images/${beginning}/json`)).status, 200);
  assertEquals((await call("GET", `/v1.41/images/${beginning}:latest/json`)).status, 404);
});

engineTest("a pull can be held and released, and a test can wait for calls", async (engine, call) => {
  const hold = engine.hold("layers", "m.example/a/b:1");
  const other = call("POST", "/v1.41/images/create?fromImage=m.example/a/c&tag=1");
  const held = call("POST", "/v1.41/images/create?fromImage=m.example/a/b&tag=1");
  await Promise.all([hold.reached, other]);
  assertEquals([engine.pulling, engine.has("m.example/a/c:1"), engine.has("m.example/a/b:1")], [1, true, false]);
  hold.release();
  const [done] = await Promise.all([
    engine.waitFor(({ query, ended }) => query.fromImage === "m.example/a/b" && ended === "complete"),
    held,
  ]);
  assertEquals([done.status, engine.pulling, engine.mostPulling], [200, 0, 2]);
  assertEquals(engine.pulls().sort(), ["m.example/a/b:1", "m.example/a/c:1"]);
});

Deno.test("names are normalized as in Docker", () => {
  const names = [
    ["nginx", "docker.io/library/nginx", "nginx"],
    ["library/nginx:1", "docker.io/library/nginx", "nginx"],
    ["index.docker.io/nginx", "docker.io/library/nginx", "nginx"],
    ["docker.io/a/b", "docker.io/a/b", "a/b"],
    ["gcr_io/x", "docker.io/gcr_io/x", "gcr_io/x"],
    ["localhost/x", "localhost/x", "localhost/x"],
    ["a.b:1", "docker.io/library/a.b", "a.b"],
    ["library.example/library/x", "library.example/library/x", "library.example/library/x"],
    [`k8s.gcr.io/pause:3.2@${IMAGE.digest}`, "k8s.gcr.io/pause", "k8s.gcr.io/pause"],
  ] as const;
  for (const [text, name, familiar] of names) {
    assertEquals(parseFakeReference(text)?.name, name, text);
    assertEquals(familiarName(name), familiar);
  }
  for (const text of ["", "UPPER", "a//b", "a/..", "a b", "a:", "a@sha256:abc", "x___y", "f".repeat(64)]) {
    assertEquals(parseFakeReference(text), undefined, text);
  }
});
