import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { RuntimeService } from "../../../../lib/runtime/containerd/messages/cri_pb.ts";
import { failure, frame, rawAnswer } from "../../../fakes/containerd.ts";
import { encoded } from "../../../fakes/containerd_wire.ts";
import { answering, containerdTest, failureOf, IMAGE, MIRRORED, mirrorOf } from "../../../support/containerd_bench.ts";

const ALIAS = { name: "gcr.io/sgryczan/ansible-runner", tag: "0.0.0" };

containerdTest("a pull sends a reference as containerd spells it, and no credentials", async (bench) => {
  const { containerd, runtime, signal } = bench;
  containerd.registries["docker.io"] = { state: "up", images: { "library/nginx:1": IMAGE } };
  await runtime.pull("nginx:1", { signal });
  await runtime.pull(`${MIRRORED}@${IMAGE.digest}`, { signal });
  const requests = containerd.journal.filter(({ method }) => method === "PullImage").map(({ request }) => request);
  assertEquals(requests, [
    { image: { image: "docker.io/library/nginx:1" } },
    { image: { image: `mirror.example/sgryczan/ansible-runner@${IMAGE.digest}` } },
  ]);
});

containerdTest("a mirror with credentials accepts only the right ones", async ({ containerd, runtime, signal }) => {
  mirrorOf(containerd).credentials = { username: "ann", password: "pässwörd" };
  await failureOf("denied", () => runtime.pull(MIRRORED, { signal }));
  const auth = { username: "ann", password: "hunter2" };
  const wrong = await failureOf("denied", () => runtime.pull(MIRRORED, { signal, auth }));
  assert(!wrong.message.includes("hunter2"));
  const pulled = await runtime.pull(MIRRORED, { signal, auth: { ...auth, password: "pässwörd" } });
  assertEquals(pulled.digest, IMAGE.digest);
});

containerdTest(
  "no part of a secret is in an error, wherever its text is cut",
  async ({ containerd, runtime, signal }) => {
    const token = "k9Zq3vT7wX1m".repeat(25);
    for (let words = 0; words < 70; words++) {
      const text = `${"ab ".repeat(words)}${token} ${"cd ".repeat(30)}: ${"ef ".repeat(20)}`;
      containerd.intercept = ({ method }) => method === "PullImage" ? failure(2, text) : undefined;
      const error = await failureOf("failed", () => runtime.pull(MIRRORED, { signal, auth: { identitytoken: token } }));
      const told = `${error.message} ${error.whole}`;
      assert(!told.includes(token.slice(0, 4)) && error.message.length < 260, told);
    }
  },
);

containerdTest("a secret is in no error, whatever containerd quotes", async ({ containerd, runtime, signal }) => {
  const cases = [
    [{ username: "ann", password: "wonderland-7" }, "wonderland-7", btoa("ann:wonderland-7")],
    [{ identitytoken: "t0k3n-of-ann" }, "t0k3n-of-ann", btoa(":t0k3n-of-ann")],
    [{ identitytoken: "t0k3n?>of?>ann" }, "t0k3n?>of?>ann", btoa("t0k3n?>of?>ann").replaceAll("/", "_")],
  ] as const;
  for (const [auth, secret, basic] of cases) {
    const text = `Get "https://ann:${secret}@m.example/v2/": ${encodeURIComponent(secret)} ${basic}: no such host`;
    containerd.intercept = answering("PullImage", () => failure(2, text));
    const error = await failureOf("registry-down", () => runtime.pull(MIRRORED, { signal, auth }));
    const told = `${error.message} ${error.stack} ${error.cause}`;
    assert(!told.includes(secret) && !told.includes(basic), told);
    assertStringIncludes(error.message, "no such host");
    const sent = containerd.journal.findLast(({ method }) => method === "PullImage")?.request.auth;
    assertEquals(sent, "identitytoken" in auth ? { identityToken: secret } : { username: "ann", password: secret });
  }
});

containerdTest("every failure of a registry has its kind and keeps its text", async (bench) => {
  const { containerd, runtime, signal } = bench;
  const cases = [
    ["down", "registry-down", "connect: connection refused"],
    ["unavailable", "registry-error", "503 Service Unavailable"],
    ["rate-limited", "rate-limited", "429 Too Many Requests"],
    ["denied", "denied", "401 Unauthorized"],
    ["error-after-progress", "registry-error", "EOF"],
    ["torn", "unreachable", "the answer was cut off"],
    ["cut", "unreachable", "it ended the answer without a message"],
  ] as const;
  for (const [state, kind, text] of cases) {
    mirrorOf(containerd).state = state;
    const error = await failureOf(kind, () => runtime.pull(MIRRORED, { signal }));
    assertStringIncludes(error.message, `pull ${MIRRORED}: `);
    assertStringIncludes(error.message, text);
  }
});

containerdTest("a bad answer to a pull alone is neither the mirror's fault nor a silence", async (bench) => {
  const { containerd, runtime, signal } = bench;
  const answers = [
    [() => new Response("404 page not found", { status: 404 }), "does not answer as containerd (HTTP status 404)"],
    [() => failure(12, "unknown method PullImage"), "unknown method PullImage"],
    [() => rawAnswer(new Uint8Array([0, 0, 0, 0, 9, 10])), "the answer ends within a message"],
    [() => rawAnswer(null), "it ended the answer without a message"],
    [() => rawAnswer(frame(new Uint8Array([255, 255]))), "a message that is not a runtime.v1.PullImageResponse"],
  ] as const;
  for (const [answer, reason] of answers) {
    containerd.intercept = answering("PullImage", answer);
    const error = await failureOf("unreachable", () => runtime.pull(MIRRORED, { signal }));
    assertStringIncludes(error.message, reason);
    assertEquals(error.silence, undefined, reason);
  }
});

containerdTest("nothing is pulled into another runtime, which could not name it", async (bench) => {
  const { containerd, runtime, signal } = bench;
  const { output } = RuntimeService.method.version;
  const version = { runtimeName: "cri-o", runtimeVersion: "1.20.0", runtimeApiVersion: "v1" };
  containerd.intercept = answering("Version", () => rawAnswer(encoded(output, version)));
  const error = await failureOf("unreachable", () => runtime.pull(MIRRORED, { signal }));
  assertStringIncludes(error.message, "what listens there is cri-o, not containerd");
  assertEquals([error.silence, containerd.pulls()], [undefined, []]);
});

containerdTest("an image that is gone once it was pulled has no digest", async ({ containerd, runtime, signal }) => {
  const gate = containerd.gates.hold("before", ({ method }) => method === "Get");
  const pulling = runtime.pull(MIRRORED, { signal });
  await gate.reached;
  containerd.removeImage(MIRRORED);
  gate.release();
  assertEquals((await pulling).digest, undefined);
});

containerdTest("a pull that cannot be asked for is rejected before containerd is called", async (bench) => {
  const { containerd, runtime, signal } = bench;
  for (const reference of ["nginx", "m.example/a", "m.example/a:", "a@", "", "a//b:1", "gcr.io/UPPER:1", "a b:1"]) {
    await failureOf("rejected", () => runtime.pull(reference, { signal }));
  }
  const odd = await failureOf("rejected", () => runtime.inspect("a\n<3>b:1", signal));
  assertEquals(odd.message, "inspect a <3>b:1: not a usable image reference");
  assertEquals(containerd.calls, 0);
});

containerdTest("an aborted pull ends the request, and containerd notices", async ({ containerd, runtime }) => {
  for (const at of ["headers", "layers", "end"] as const) {
    containerd.journal.length = 0;
    const stop = new AbortController();
    const hold = containerd.hold(at);
    const outcome = assertRejects(() => runtime.pull(MIRRORED, { signal: stop.signal }), Error);
    const reason = new Error("asked to stop");
    await hold.reached;
    stop.abort(reason);
    assertEquals(await outcome, reason);
    await containerd.waitFor(({ method, ended }) => method === "PullImage" && ended === "aborted");
    hold.release();
    assertEquals([containerd.pulling, containerd.names], [0, []], at);
  }
});

containerdTest("a pull from a registry that never answers is stalled and canceled", async (bench) => {
  const { containerd, runtime, signal } = bench;
  mirrorOf(containerd).state = "silent";
  const error = await failureOf("stalled", () => runtime.pull(MIRRORED, { signal }));
  assertEquals(error.message, `pull ${MIRRORED}: no progress for 0.05 s, given up`);
  await containerd.waitFor(({ method, ended }) => method === "PullImage" && ended === "aborted");
}, { noProgressMs: 50 });

containerdTest("a slow pull with progress may take longer than the limit without progress", async (bench) => {
  const { containerd, runtime, signal } = bench;
  mirrorOf(containerd).state = "slow";
  const begin = performance.now();
  const layers = new Set<string>();
  const onProgress = ({ layer }: { layer: string }) => void layers.add(layer);
  await runtime.pull(MIRRORED, { signal, onProgress });
  assert(performance.now() - begin > 1200);
  assertEquals([...layers], IMAGE.layers.map(({ id }) => id));
}, { noProgressMs: 1200, stepMs: 300 });

containerdTest("a pull does not fail with the looks at its progress", async ({ containerd, runtime, signal }) => {
  containerd.intercept = answering("ListStatuses", () => failure(2, "database not open"));
  assertEquals(await runtime.pull(MIRRORED, { signal }), { digest: IMAGE.digest, bytes: 0 });
});

containerdTest("a tag makes a record of the tag and one of the digest, managed by CRI", async (bench) => {
  const { containerd, runtime, signal } = bench;
  await runtime.pull(MIRRORED, { signal });
  await runtime.tag(MIRRORED, ALIAS, signal);
  const made = containerd.journal.filter(({ method }) => method === "Create").map(({ request }) => request.image);
  const target = {
    mediaType: "application/vnd.docker.distribution.manifest.v2+json",
    digest: IMAGE.digest,
    size: "425",
  };
  const labels = { "io.cri-containerd.image": "managed" };
  assertEquals(made, [
    { name: "gcr.io/sgryczan/ansible-runner:0.0.0", labels, target },
    { name: `gcr.io/sgryczan/ansible-runner@${IMAGE.digest}`, labels, target },
  ]);
});

containerdTest("a name that exists is never moved, and that is no failure", async ({ containerd, runtime, signal }) => {
  const other = { ...IMAGE, id: `sha256:${"e".repeat(64)}`, digest: `sha256:${"f".repeat(64)}` };
  containerd.import("gcr.io/sgryczan/ansible-runner:0.0.0", other);
  await runtime.pull(MIRRORED, { signal });
  await runtime.tag(MIRRORED, ALIAS, signal);
  assertEquals(containerd.idOf("gcr.io/sgryczan/ansible-runner:0.0.0"), other.id);
  assertEquals(containerd.idOf(MIRRORED), IMAGE.id);
  const statuses = containerd.journal.filter(({ method }) => method === "Create").map(({ status }) => status);
  assertEquals(statuses, [6, 0]);
});

containerdTest("a tag whose source disappears meanwhile is a failure", async ({ containerd, runtime, signal }) => {
  await runtime.pull(MIRRORED, { signal });
  const gate = containerd.gates.hold("before", ({ method }) => method === "Get");
  const tagging = failureOf("not-found", () => runtime.tag(MIRRORED, ALIAS, signal));
  await gate.reached;
  containerd.removeImage(MIRRORED);
  gate.release();
  assertEquals(
    (await tagging).message,
    `tag ${MIRRORED} as gcr.io/sgryczan/ansible-runner:0.0.0: image "${MIRRORED}": not found`,
  );
  assertEquals(containerd.journal.some(({ method }) => method === "Create"), false);
});

containerdTest("a tag is done once CRI has noticed the name", async ({ containerd, runtime, signal }) => {
  await runtime.pull(MIRRORED, { signal });
  let looks = 0;
  containerd.intercept = ({ method }) => {
    if (method !== "ImageStatus" || ++looks > 2) return undefined;
    return rawAnswer(new Uint8Array(5));
  };
  await runtime.tag(MIRRORED, ALIAS, signal);
  assertEquals(looks, 3);
});

containerdTest("a tag for an incomplete name is refused before containerd is called", async (bench) => {
  const { containerd, runtime, signal } = bench;
  for (const [name, tag] of [["", "1"], ["gcr.io/a/b", ""]] as const) {
    await failureOf("rejected", () => runtime.tag(MIRRORED, { name, tag }, signal));
  }
  assertEquals(containerd.calls, 0);
});

containerdTest("info says what it is, without control characters", async ({ runtime, signal }) => {
  assertEquals(await runtime.info(signal), {
    name: "containerd",
    version: "2.1.4 x",
    apiVersion: "CRI v1",
    imageStore: "containerd's",
    canAliasDigest: true,
    mirrorsFolder: "/etc/containerd/certs.d",
  });
}, { version: "2.1.4\u001b\n x", configPath: "/etc/containerd/certs.d\u0007" });
