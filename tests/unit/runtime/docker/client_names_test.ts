import { assert, assertEquals, assertRejects } from "@std/assert";
import { DockerRuntime } from "../../../../lib/runtime/docker/client.ts";
import { RuntimeError } from "../../../../lib/runtime/errors.ts";
import { fakeImage, startDockerEngine } from "../../../fakes/docker_engine.ts";

const never = () => new AbortController().signal;

Deno.test("a registry that stays silent is a stalled call, a silent Engine is unreachable", async () => {
  const dir = await Deno.makeTempDir();
  const registries = { "silent.example": { state: "silent" as const, images: {} } };
  const engine = await startDockerEngine({ socket: `${dir}/docker.sock`, registries });
  const runtime = new DockerRuntime({ socket: engine.socket, noProgressMs: 60_000, callTimeoutMs: 200 });
  const asking = () => runtime.resolve("silent.example/a/b:1", { signal: never() });
  assertEquals((await assertRejects(asking, RuntimeError, "resolve silent.example/a/b:1: no answer")).kind, "stalled");
  const left = await engine.waitFor((call) => call.path.startsWith("/distribution/") && call.ended !== undefined);
  assertEquals(left.ended, "aborted");
  engine.intercept = () => new Promise(() => {});
  const another = new DockerRuntime({ socket: engine.socket, noProgressMs: 60_000, callTimeoutMs: 200 });
  const asked = () => another.resolve("silent.example/a/b:1", { signal: never() });
  assertEquals((await assertRejects(asked, RuntimeError)).kind, "unreachable");
  runtime.close();
  another.close();
  await engine.stop();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("resolve sends credentials only to the Engine, and rejects an answer without a digest", async () => {
  const dir = await Deno.makeTempDir();
  const auth = { username: "alice", password: "wonderland" };
  const guarded = { state: "up" as const, images: { "a/b:1": fakeImage("b") }, credentials: auth };
  const engine = await startDockerEngine({ socket: `${dir}/docker.sock`, registries: { "guarded.example": guarded } });
  const runtime = new DockerRuntime({ socket: engine.socket, noProgressMs: 60_000 });
  const found = await runtime.resolve("guarded.example/a/b:1", { signal: never(), auth });
  assertEquals(found?.digest, fakeImage("b").digest);
  const sent = engine.journal.filter(({ headers }) => headers["x-registry-auth"] !== undefined);
  assertEquals(sent.map(({ path }) => path), ["/distribution/guarded.example/a/b:1/json"]);
  engine.intercept = (call) => call.path === "/_ping" ? undefined : Response.json({ Descriptor: {} });
  const odd = await assertRejects(() => runtime.resolve("guarded.example/a/b:1", { signal: never() }), RuntimeError);
  assert(odd.kind === "failed" && odd.message.includes("has no digest"));
  runtime.close();
  await engine.stop();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("resolve tells the platforms of an index, without its attestations", async () => {
  const dir = await Deno.makeTempDir();
  const engine = await startDockerEngine({ socket: `${dir}/docker.sock`, registries: {} });
  const runtime = new DockerRuntime({ socket: engine.socket, noProgressMs: 60_000 });
  const digest = fakeImage("b").digest;
  const cases = [
    [[{ os: "linux", architecture: "arm64", variant: "v8" }, { os: "windows", architecture: "amd64" }], [
      "linux/arm64/v8",
      "windows/amd64",
    ]],
    [[{ os: "linux", architecture: "s390x" }, { os: "unknown", architecture: "unknown" }], ["linux/s390x"]],
    [null, []],
    [[{}, 1, { os: "", architecture: "" }], []],
  ] as const;
  for (const [Platforms, platforms] of cases) {
    engine.intercept = (call) =>
      call.path === "/_ping" ? undefined : Response.json({ Descriptor: { digest }, Platforms });
    assertEquals(await runtime.resolve("m.example/a/b:1", { signal: never() }), { digest, platforms: [...platforms] });
  }
  runtime.close();
  await engine.stop();
  await Deno.remove(dir, { recursive: true });
});
