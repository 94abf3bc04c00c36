import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { DockerRuntime } from "../../../../lib/runtime/docker/client.ts";
import { RuntimeError, type RuntimeErrorKind } from "../../../../lib/runtime/errors.ts";
import {
  type FakeDockerEngine,
  type FakeEngineOptions,
  fakeImage,
  type Intercept,
  startDockerEngine,
} from "../../../fakes/docker_engine.ts";

const MIRRORED = "mirror.example/sgryczan/ansible-runner:0.0.0";
const IMAGE = fakeImage("ansible-runner");

interface Bench {
  readonly engine: FakeDockerEngine;
  readonly runtime: DockerRuntime;
  readonly signal: AbortSignal;
}

/** Runs a test against a fake Engine with one mirror; fails if it receives an unexpected call. */
function dockerTest(
  name: string,
  body: (bench: Bench) => Promise<void>,
  options: Partial<FakeEngineOptions> & { readonly noProgressMs?: number; readonly callTimeoutMs?: number } = {},
): void {
  Deno.test(name, async () => {
    const dir = await Deno.makeTempDir({ prefix: "gilly-docker-" });
    const socket = `${dir}/docker.sock`;
    const { noProgressMs = 5000, callTimeoutMs = 5000, ...rest } = options;
    const images = { "sgryczan/ansible-runner:0.0.0": IMAGE };
    const engine = await startDockerEngine({
      socket,
      registries: { "mirror.example": { state: "up", images } },
      ...rest,
    });
    const runtime = new DockerRuntime({ socket, noProgressMs, callTimeoutMs });
    try {
      await body({ engine, runtime, signal: new AbortController().signal });
    } finally {
      runtime.close();
      await engine.stop();
      await Deno.remove(dir, { recursive: true });
    }
    assertEquals(engine.unexpected, []);
  });
}

async function failureOf(kind: RuntimeErrorKind, call: () => Promise<unknown>): Promise<RuntimeError> {
  const error = await assertRejects(call, RuntimeError);
  assertEquals(error.kind, kind, error.message);
  return error;
}

/** Intercepts one route of the Engine with another answer. */
function answering(path: string, answer: () => Response | Promise<Response>): Intercept {
  return (call) => call.path === path ? answer() : undefined;
}

const INSPECT_PATH = `/images/${MIRRORED}/json`;

function mirrorOf(engine: FakeDockerEngine) {
  const mirror = engine.registries["mirror.example"];
  assert(mirror !== undefined);
  return mirror;
}

dockerTest(
  "a pull sends a name and a tag, but neither a platform nor credentials",
  async ({ engine, runtime, signal }) => {
    await runtime.pull(MIRRORED, { signal });
    const call = engine.journal.find(({ path }) => path === "/images/create");
    assertEquals(call?.query, { fromImage: "mirror.example/sgryczan/ansible-runner", tag: "0.0.0" });
    assertEquals(call?.headers["x-registry-auth"], undefined);
    assertEquals(engine.journal.map(({ method, path }) => `${method} ${path}`), ["GET /_ping", "POST /images/create"]);
  },
);

dockerTest("a mirror with credentials accepts only the right ones", async ({ engine, runtime, signal }) => {
  mirrorOf(engine).credentials = { username: "ann", password: "pässwörd>>>???" };
  const anonymous = await failureOf("denied", () => runtime.pull(MIRRORED, { signal }));
  assertStringIncludes(anonymous.message, "no basic auth credentials");
  const auth = { username: "ann", password: "hunter2" };
  const wrong = await failureOf("denied", () => runtime.pull(MIRRORED, { signal, auth }));
  assertEquals(wrong.message, `pull ${MIRRORED}: unauthorized: authentication required`);
  const pulled = await runtime.pull(MIRRORED, { signal, auth: { username: "ann", password: "pässwörd>>>???" } });
  assertEquals(pulled, { digest: IMAGE.digest, bytes: 3000 });
});

dockerTest("the API version is negotiated once, and again after the Engine was replaced", async (bench) => {
  const { engine, runtime, signal } = bench;
  const versions = () => engine.journal.map(({ path, version }) => `${path} ${version}`.trim());
  await runtime.inspect("a/b:1", signal);
  await runtime.inspect("a/b:1", signal);
  assertEquals(versions(), ["/_ping", "/images/a/b:1/json 1.48", "/images/a/b:1/json 1.48"]);
  await engine.stop();
  await engine.start({ apiVersion: "1.39" });
  engine.journal.length = 0;
  assertEquals((await runtime.info(signal)).apiVersion, "1.39");
  assertEquals(versions(), ["/info 1.48", "/_ping", "/info 1.39"]);
  await engine.stop();
  await engine.start({ apiVersion: "1.55", minApiVersion: "1.40" });
  engine.journal.length = 0;
  assertEquals((await runtime.info(signal)).apiVersion, "1.51");
  assertEquals(versions(), ["/info 1.39", "/_ping", "/info 1.51"]);
}, { apiVersion: "1.48" });

dockerTest("an Engine that was away is queried for its version again", async ({ engine, runtime, signal }) => {
  await runtime.inspect("a/b:1", signal);
  await engine.stop();
  await failureOf("unreachable", () => runtime.inspect("a/b:1", signal));
  await engine.start({ apiVersion: "1.45" });
  assertEquals((await runtime.info(signal)).apiVersion, "1.45");
});

dockerTest("an Engine without a common API version is an error, and is not queried forever", async (bench) => {
  const { engine, runtime, signal } = bench;
  const error = await failureOf("rejected", () => runtime.pull(MIRRORED, { signal }));
  assertStringIncludes(error.message, "client version 1.51 is too old. Minimum supported API version is 1.60");
  assertEquals(engine.calls, 4);
}, { apiVersion: "1.70", minApiVersion: "1.60" });

dockerTest("an Engine before 17.06 or another server is refused", async ({ engine, runtime, signal }) => {
  const old = await failureOf("failed", () => runtime.inspect("a/b:1", signal));
  assertStringIncludes(old.message, "offers API 1.29, but API 1.30 (Docker Engine 17.06) or newer is required");
  engine.intercept = () => new Response("404 page not found", { status: 404 });
  const other = await failureOf("unreachable", () => runtime.inspect(MIRRORED, signal));
  assertMatch(other.message, /docker\.sock does not answer as a Docker Engine: 404 page not found$/);
}, { apiVersion: "1.29" });

dockerTest("a missing socket is named, with the reason", async ({ engine, runtime, signal }) => {
  await engine.stop();
  const error = await failureOf("unreachable", () => runtime.inspect("a/b:1", signal));
  assertMatch(error.message, /^inspect a\/b:1: .* Docker Engine at \/.*docker\.sock: No such file or directory/);
});

dockerTest("info reports the containerd image store", async ({ runtime, signal }) => {
  assertEquals(await runtime.info(signal), {
    name: "Docker Engine",
    version: "28.5.2",
    apiVersion: "1.51",
    imageStore: "containerd's",
    canAliasDigest: true,
  });
}, { imageStore: "containerd", version: "28.5.2", apiVersion: "1.51" });

dockerTest("an aborted pull ends the request, and the Engine notices", async ({ engine, runtime }) => {
  for (const at of ["headers", "layers", "end"] as const) {
    engine.journal.length = 0;
    const stop = new AbortController();
    const hold = engine.hold(at);
    const pulling = runtime.pull(MIRRORED, { signal: stop.signal });
    const outcome = assertRejects(() => pulling, Error);
    const reason = new Error("asked to stop");
    await hold.reached;
    stop.abort(reason);
    assertEquals(await outcome, reason);
    await engine.waitFor(({ path, ended }) => path === "/images/create" && ended === "aborted");
    hold.release();
    assertEquals([engine.pulling, engine.has(MIRRORED)], [0, false], at);
  }
});

dockerTest("a pull from a registry that never answers is stalled and canceled", async ({ engine, runtime, signal }) => {
  mirrorOf(engine).state = "silent";
  const error = await failureOf("stalled", () => runtime.pull(MIRRORED, { signal }));
  assertEquals(error.message, `pull ${MIRRORED}: no progress for 0.05 s, given up`);
  await engine.waitFor(({ path, ended }) => path === "/images/create" && ended === "aborted");
}, { noProgressMs: 50 });

dockerTest("a slow pull with progress may take longer than the limit without progress", async (bench) => {
  const { engine, runtime, signal } = bench;
  mirrorOf(engine).state = "slow";
  const begin = performance.now();
  await runtime.pull(MIRRORED, { signal });
  assert(performance.now() - begin > 600);
}, { noProgressMs: 600, stepMs: 90 });

dockerTest("a truncated answer is a failure, whatever came before", async ({ engine, runtime, signal }) => {
  const cases = [
    ["torn", "unreachable", "was cut off"],
    ["cut", "unreachable", "ended the stream before it reported the image as complete"],
    ["error-after-progress", "registry-error", "unexpected EOF"],
  ] as const;
  for (const [state, kind, text] of cases) {
    mirrorOf(engine).state = state;
    const error = await failureOf(kind, () => runtime.pull(MIRRORED, { signal }));
    assertStringIncludes(error.message, `pull ${MIRRORED}: `);
    assertStringIncludes(error.message, text);
  }
});

dockerTest("invalid progress is not a success", async ({ engine, runtime, signal }) => {
  const bodies = ["<html>Status: Downloaded</html>\r\n", "", "{}\r\n", '{"status":"Status: Downloaded newer im'];
  for (const body of bodies) {
    engine.intercept = answering("/images/create", () => new Response(body));
    await failureOf("unreachable", () => runtime.pull(MIRRORED, { signal }));
  }
  engine.intercept = answering("/images/create", () => new Response('{"status":"Status: x"}\n', { status: 202 }));
  await failureOf("failed", () => runtime.pull(MIRRORED, { signal }));
});

dockerTest("a digest other than the requested one is a failure", async ({ engine, runtime, signal }) => {
  const other = `sha256:${"b".repeat(64)}`;
  const body = `{"status":"Digest: ${other}"}\r\n{"status":"Status: Downloaded newer image for x"}\r\n`;
  engine.intercept = answering("/images/create", () => new Response(body));
  const reference = `mirror.example/a/b@${IMAGE.digest}`;
  const error = await failureOf("failed", () => runtime.pull(reference, { signal }));
  assertEquals(error.message, `pull ${reference}: the Docker Engine pulled another digest, ${other}`);
});

dockerTest("every failure of a registry has its kind and keeps its text", async ({ engine, runtime, signal }) => {
  const cases = [
    ["down", "registry-down", "connect: connection refused"],
    ["unavailable", "registry-error", "received unexpected HTTP status: 503 Service Unavailable"],
    ["rate-limited", "rate-limited", "toomanyrequests: retry-after: 1m30s"],
    ["denied", "denied", "no basic auth credentials"],
  ] as const;
  mirrorOf(engine).limitText = "retry-after: 1m30s";
  for (const [state, kind, text] of cases) {
    mirrorOf(engine).state = state;
    const error = await failureOf(kind, () => runtime.pull(MIRRORED, { signal }));
    assertStringIncludes(error.message, text);
    assertEquals(error.retryAfterSeconds, state === "rate-limited" ? 90 : undefined);
  }
});

dockerTest("a Retry-After header of an answer is kept", async ({ engine, runtime, signal }) => {
  engine.intercept = answering(
    "/images/create",
    () => Response.json({ message: "slow down" }, { status: 429, headers: { "Retry-After": "120" } }),
  );
  assertEquals((await failureOf("rate-limited", () => runtime.pull(MIRRORED, { signal }))).retryAfterSeconds, 120);
});

dockerTest("null names become empty lists", async ({ engine, runtime, signal }) => {
  const answer = { Id: IMAGE.id, RepoTags: null, RepoDigests: ["a@b", 7] };
  engine.intercept = answering(INSPECT_PATH, () => Response.json(answer));
  assertEquals(await runtime.inspect(MIRRORED, signal), { id: IMAGE.id, tags: [], digests: ["a@b"] });
});

dockerTest("an invalid answer to inspect is not a missing image", async ({ engine, runtime, signal }) => {
  const cases: readonly (readonly [RuntimeErrorKind, () => Response])[] = [
    ["failed", () => Response.json({ message: "page not found" }, { status: 404 })],
    ["failed", () => Response.json({ message: "layer does not exist" }, { status: 500 })],
    ["failed", () => new Response("<html>")],
    ["failed", () => Response.json([])],
    ["failed", () => Response.json({ RepoTags: [] })],
    ["failed", () => new Response(null, { status: 204 })],
    ["rejected", () => new Response(null, { status: 301, headers: { Location: "/info" } })],
    ["unreachable", () => Response.json({ Id: "x".repeat(9 * 1024 * 1024) })],
    ["unreachable", () => Response.json({ message: "x".repeat(100_000) }, { status: 500 })],
  ];
  for (const [kind, answer] of cases) {
    engine.intercept = answering(INSPECT_PATH, answer);
    const error = await failureOf(kind, () => runtime.inspect(MIRRORED, signal));
    assertStringIncludes(error.message, `inspect ${MIRRORED}: `);
    assert(error.message.length < 2000);
  }
  assertEquals(engine.journal.filter(({ path }) => path === "/info"), []);
});

dockerTest("a text from the Engine cannot start a new line in the journal", async ({ engine, runtime, signal }) => {
  const message = "bad\n<3>forged line\u001b[2J";
  engine.intercept = answering(INSPECT_PATH, () => Response.json({ message }, { status: 500 }));
  const error = await failureOf("failed", () => runtime.inspect(MIRRORED, signal));
  assertEquals(error.message, `inspect ${MIRRORED}: bad <3>forged line [2J`);
  const odd = await failureOf("rejected", () => runtime.inspect("a\n<3>b:1", signal));
  assertEquals(odd.message, "inspect a <3>b:1: not a usable image reference");
});

dockerTest("a tag answered with anything but 201 is a failure", async ({ engine, runtime, signal }) => {
  const tagging = () => runtime.tag(MIRRORED, { name: "gcr.io/a/b", tag: "1" }, signal);
  engine.intercept = answering(`/images/${MIRRORED}/tag`, () => new Response(null, { status: 200 }));
  const error = await failureOf("failed", tagging);
  assertEquals(error.message, `tag ${MIRRORED} as gcr.io/a/b:1: HTTP status 200`);
  engine.intercept = undefined;
  await failureOf("not-found", tagging);
});

dockerTest("a tag for an incomplete name is refused before Docker is called", async ({ engine, runtime, signal }) => {
  for (const [name, tag] of [["", "1"], ["gcr.io/a/b", ""]] as const) {
    await failureOf("rejected", () => runtime.tag(MIRRORED, { name, tag }, signal));
  }
  assertEquals(engine.calls, 0);
});

dockerTest("an Engine that does not answer in time is unreachable", async ({ engine, runtime, signal }) => {
  const silence = Promise.withResolvers<Response>();
  engine.intercept = answering(INSPECT_PATH, () => silence.promise);
  const silent = await failureOf("unreachable", () => runtime.inspect(MIRRORED, signal));
  assertStringIncludes(silent.message, "no answer within 0.3 s");
  silence.resolve(new Response());
  const half = () => new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(9)) }));
  engine.intercept = answering(INSPECT_PATH, half);
  const unfinished = await failureOf("unreachable", () => runtime.inspect(MIRRORED, signal));
  assertStringIncludes(unfinished.message, "the answer was not complete within 0.3 s");
}, { callTimeoutMs: 300 });

dockerTest("a call can be aborted while its answer arrives", async ({ engine, runtime }) => {
  const stop = new AbortController();
  const reason = new Error("asked to stop");
  const half = () => new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(9)) }));
  engine.intercept = answering(INSPECT_PATH, half);
  const outcome = assertRejects(() => runtime.inspect(MIRRORED, stop.signal), Error);
  await engine.waitFor(({ path }) => path === INSPECT_PATH);
  stop.abort(reason);
  assertEquals(await outcome, reason);
});
