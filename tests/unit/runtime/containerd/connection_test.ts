import { assertEquals, assertInstanceOf, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { ContainerdRuntime } from "../../../../lib/runtime/containerd/client.ts";
import { GrpcError } from "../../../../lib/runtime/containerd/connection.ts";
import { failure, frame, rawAnswer } from "../../../fakes/containerd.ts";
import { answering, containerdTest, failureOf, MIRRORED } from "../../../support/containerd_bench.ts";

/** A body that begins with these bytes and goes on, or breaks off. */
function unfinished(bytes: readonly number[], isTorn: boolean): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(bytes)),
    async pull(controller) {
      if (!isTorn) return await new Promise(() => {});
      // Without the pause the bytes so far would not be sent.
      await new Promise((resolve) => setTimeout(resolve, 20));
      controller.error(new Error("torn on purpose"));
    },
  });
}

const ODD_ANSWERS: readonly (readonly [string, () => Response, string])[] = [
  ["no message", () => rawAnswer(null), "it ended the answer without a message"],
  ["a part of a head", () => rawAnswer(new Uint8Array([0, 0, 0])), "the answer ends within a message"],
  ["a part of a message", () => rawAnswer(new Uint8Array([0, 0, 0, 0, 9, 10])), "the answer ends within a message"],
  ["a torn message", () => rawAnswer(unfinished([0, 0, 0, 0, 9, 10], true)), "the answer was cut off"],
  ["a compressed message", () => rawAnswer(new Uint8Array([1, 0, 0, 0, 0])), "a message begins with the byte 1"],
  [
    "a message that is too large",
    () => rawAnswer(new Uint8Array([0, 255, 255, 255, 255])),
    "a message of 4294967295 bytes, at most 16777216 are taken",
  ],
  ["garbage", () => rawAnswer(new TextEncoder().encode("<html>")), "a message begins with the byte 60"],
  [
    "a message that is garbage",
    () => rawAnswer(frame(new Uint8Array([255, 255, 255]))),
    "a message that is not a runtime.v1.ImageStatusResponse",
  ],
];

for (const [what, answer, reason] of ODD_ANSWERS) {
  containerdTest(`${what} is an answer of no use`, async ({ containerd, runtime, signal }) => {
    containerd.intercept = answering("ImageStatus", answer);
    const error = await failureOf("unreachable", () => runtime.inspect(MIRRORED, signal));
    assertStringIncludes(
      error.message,
      `inspect ${MIRRORED}: no usable answer from containerd at ${containerd.socket}: `,
    );
    assertStringIncludes(error.message, reason);
    assertEquals(error.silence?.runtime.socket, containerd.socket);
    containerd.intercept = undefined;
    assertEquals(await runtime.inspect(MIRRORED, signal), undefined);
  });
}

containerdTest("of two messages in one answer the first counts", async ({ containerd, runtime, signal }) => {
  const version = [18, 10, ...new TextEncoder().encode("containerd"), 26, 1, 49];
  containerd.intercept = answering(
    "Version",
    () => rawAnswer(new Uint8Array([0, 0, 0, 0, version.length, ...version, 0, 0, 0, 0, 0])),
  );
  assertEquals((await runtime.info(signal)).version, "1");
});

containerdTest("what is no containerd says so, with its status", async ({ containerd, runtime, signal }) => {
  const others = [
    [() => new Response("404 page not found", { status: 404 }), "HTTP status 404"],
    [() => new Response("<html>Bad Gateway", { status: 502 }), "HTTP status 502"],
    [() => new Response("OK"), "HTTP status 200"],
    [() => new Response(null, { status: 302, headers: { location: "/elsewhere" } }), "HTTP status 302"],
    [() => new Response(null, { headers: { "grpc-status": "five" } }), "HTTP status 200"],
  ] as const;
  for (const [answer, status] of others) {
    containerd.intercept = answering("ImageStatus", answer);
    const error = await failureOf("unreachable", () => runtime.inspect(MIRRORED, signal));
    assertEquals(error.message, `inspect ${MIRRORED}: what listens there does not answer as containerd (${status})`);
    assertEquals(error.silence?.because, `what listens there does not answer as containerd (${status})`);
  }
  assertEquals(containerd.calls, others.length);
});

containerdTest(
  "a containerd without CRI is unreachable, not without the image",
  async ({ containerd, runtime, signal }) => {
    containerd.intercept = () => failure(12, "unknown service runtime.v1.ImageService");
    const error = await failureOf("unreachable", () => runtime.inspect(MIRRORED, signal));
    assertEquals(error.message, `inspect ${MIRRORED}: unknown service runtime.v1.ImageService`);
    assertEquals(error.silence?.because, "unknown service runtime.v1.ImageService");
    const pulling = await failureOf("unreachable", () => runtime.pull(MIRRORED, { signal }));
    assertEquals(pulling.silence?.because, "unknown service runtime.v1.ImageService");
  },
);

containerdTest("any status is a failure, with the text that came along", async ({ containerd, runtime, signal }) => {
  const cases = [
    ["2", "bad%0A%3C3%3Eforged line%1B[2J", "failed", "bad <3>forged line [2J"],
    ["2", "100% wrong%2", "failed", "100% wrong%2"],
    ["2", "%ff%fe", "failed", "%ff%fe"],
    ["13", "", "failed", "status 13"],
    ["99", "so", "failed", "so"],
    ["14", "gone", "unreachable", "gone"],
    ["5", "%C3%A4", "not-found", "ä"],
  ] as const;
  for (const [code, sent, kind, text] of cases) {
    const headers = { "content-type": "application/grpc", "grpc-status": code, "grpc-message": sent };
    containerd.intercept = answering("ImageStatus", () => new Response(null, { headers }));
    const error = await failureOf(kind, () => runtime.inspect(MIRRORED, signal));
    assertEquals(error.message, `inspect ${MIRRORED}: ${text}`);
    assertInstanceOf(error, GrpcError);
    assertEquals(error.status, Number(code));
  }
});

containerdTest("a containerd that does not answer in time is unreachable", async ({ containerd, runtime, signal }) => {
  const silence = Promise.withResolvers<Response>();
  containerd.intercept = answering("ImageStatus", () => silence.promise);
  const silent = await failureOf("unreachable", () => runtime.inspect(MIRRORED, signal));
  assertStringIncludes(silent.message, "no answer within 0.3 s");
  silence.resolve(rawAnswer(null));
  containerd.intercept = answering("ImageStatus", () => rawAnswer(unfinished([0, 0, 0, 0, 9, 10], false)));
  const half = await failureOf("unreachable", () => runtime.inspect(MIRRORED, signal));
  assertStringIncludes(half.message, "no answer within 0.3 s");
}, { callTimeoutMs: 300 });

containerdTest("a call can be aborted before its answer and within", async ({ containerd, runtime }) => {
  const never = new Promise<Response>(() => {});
  for (const answer of [() => never, () => rawAnswer(unfinished([0, 0, 0, 0, 9, 10], false))]) {
    const stop = new AbortController();
    const reason = new Error("asked to stop");
    containerd.journal.length = 0;
    containerd.intercept = answering("ImageStatus", answer);
    const outcome = assertRejects(() => runtime.inspect(MIRRORED, stop.signal), Error);
    await containerd.waitFor(({ method }) => method === "ImageStatus");
    stop.abort(reason);
    assertEquals(await outcome, reason);
  }
});

containerdTest("a missing socket is named, with the reason", async ({ containerd, runtime, signal }) => {
  await containerd.stop();
  const error = await failureOf("unreachable", () => runtime.inspect(MIRRORED, signal));
  assertStringIncludes(error.message, `from containerd at ${containerd.socket}: `);
  assertStringIncludes(error.message, "No such file or directory");
});

containerdTest("calls name the namespace of the kubelet", async ({ containerd, runtime, signal }) => {
  await runtime.pull(MIRRORED, { signal });
  const namespaces = new Set(containerd.journal.map(({ headers }) => headers["containerd-namespace"]));
  assertEquals([...namespaces], ["k8s.io"]);
});

const REFUSALS: readonly (readonly [string, RegExp])[] = [
  // How fast it closes decides which of them is seen.
  [
    "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    /(?:does not answer as|server does that is not) containerd/,
  ],
  ["", /closed the connection \(.*\), as a server does that is not containerd/],
];

for (const [answer, expected] of REFUSALS) {
  Deno.test(`a server that ${answer ? "speaks HTTP/1 alone" : "closes every connection"} is no containerd`, async () => {
    const dir = await Deno.makeTempDir({ prefix: "gilly-containerd-" });
    const path = `${dir}/docker.sock`;
    const listener = Deno.listen({ transport: "unix", path });
    const answered = (async () => {
      for await (const connection of listener) {
        await connection.read(new Uint8Array(1024));
        await connection.write(new TextEncoder().encode(answer));
        connection.close();
      }
    })();
    const runtime = new ContainerdRuntime({ socket: path, noProgressMs: 1000, callTimeoutMs: 2000 });
    const error = await failureOf("unreachable", () => runtime.inspect(MIRRORED, new AbortController().signal));
    assertStringIncludes(error.message, `at ${path}: what listens there `);
    assertMatch(error.message, expected);
    runtime.close();
    listener.close();
    await answered;
    await Deno.remove(dir, { recursive: true });
  });
}
