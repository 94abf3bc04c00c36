// Faults that a real containerd does not show on demand, on a fake behind the same socket.

import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import { assert, assertEquals } from "@std/assert";
import { framed } from "../../lib/runtime/containerd/frames.ts";
import { Content } from "../../lib/runtime/containerd/messages/content_pb.ts";
import { ImageService, RuntimeService } from "../../lib/runtime/containerd/messages/cri_pb.ts";
import { Images } from "../../lib/runtime/containerd/messages/images_pb.ts";
import type { Gilly } from "../e2e/gilly.ts";
import { type ContainerdCall, type ContainerdIntercept, failure, rawAnswer } from "../fakes/containerd.ts";
import { imageIn } from "../fakes/containerd_call.ts";
import type { FakeContainerdNode } from "../fakes/node.ts";
import { scenario } from "../scenarios/scenario.ts";
import {
  assertNoWrongImage,
  EAGER_TO_TRY,
  HURT,
  OTHER,
  otherIsRepaired,
  type Scene,
  withContainerdScene,
} from "./scene.ts";

const standIn = (what: string, holds: string) => ({ subject: "containerd", what, means: "stand-in" as const, holds });

const ofHurt = ({ request }: ContainerdCall) => JSON.stringify(request).includes("acme/hurt");

const grpc = (headers: Record<string, string>) =>
  new Response(null, { headers: { "content-type": "application/grpc", ...headers } });

/** Answers that no containerd gives. */
const ODD_ANSWERS: readonly (readonly [string, () => Response])[] = [
  ["nothing", () => rawAnswer(null)],
  ["half a head", () => rawAnswer(new Uint8Array([0, 0, 0]))],
  ["half a message", () => rawAnswer(new Uint8Array([0, 0, 0, 0, 9, 10]))],
  ["a connection that breaks off", () => rawAnswer(brokenOff())],
  ["text in place of frames", () => rawAnswer(new TextEncoder().encode("<html>It works!</html>"))],
  ["a compressed message", () => rawAnswer(new Uint8Array([1, 0, 0, 0, 2, 10, 0]))],
  ["4 GiB announced", () => rawAnswer(new Uint8Array([0, 255, 255, 255, 255, 10]))],
  ["a message of garbage", () => rawAnswer(framed(new Uint8Array([255, 254, 253, 0])))],
  ["status 13", () => failure(13, "grpc: the connection is in a mood")],
  ["14", () => failure(14, "transport is closing")],
  ["16", () => failure(16, "no credentials of yours")],
  ["99", () => failure(99, "so")],
  ["five", () => grpc({ "grpc-status": "five" })],
  ["-1", () => grpc({ "grpc-status": "-1", "grpc-message": "%ff%" })],
  ["HTTP 500", () => new Response("<html>Internal Server Error", { status: 500 })],
  ["404", () => new Response("404 page not found", { status: 404 })],
  ["302", () => new Response(null, { status: 302, headers: { location: "/elsewhere" } })],
];
const oddly = ODD_ANSWERS.map(([what]) => what).join(", ");

/** Runs daemons at once; together they are given each of the odd answers to calls that `matches` accepts. */
async function withEachOddAnswer(
  matches: (call: ContainerdCall) => boolean,
  fault: (scene: Scene<FakeContainerdNode>) => Promise<void>,
): Promise<void> {
  const size = Math.ceil(ODD_ANSWERS.length / 4);
  await Promise.all([0, 1, 2, 3].map(async (quarter) => {
    const answers = ODD_ANSWERS.slice(quarter * size, (quarter + 1) * size);
    let given = 0;
    await withContainerdScene(async (scene) => {
      const { containerd } = scene.node;
      const all = containerd.waitFor(() => given > answers.length).then(() => undefined);
      // Otherwise the wait would never end.
      const ended = scene.gilly.ended().then(() => scene.gilly.journal.join("\n"));
      assertEquals(await Promise.race([all, ended]), undefined);
      await fault(scene);
      containerd.intercept = undefined;
    }, {
      before: ({ containerd }) =>
        containerd.intercept = (call) => matches(call) ? answers[given++ % answers.length]?.[1]() : undefined,
    });
  }));
}

const created = ({ containerd }: FakeContainerdNode) => containerd.journal.filter(({ method }) => method === "Create");
const linesOf = ({ journal }: Gilly, pattern: RegExp) => journal.filter((line) => pattern.test(line));

scenario(
  standIn(
    `answers every pull with ${oddly}`,
    "each is one failed try that blames no mirror; nothing is named meanwhile, others are not delayed",
  ),
  () =>
    withEachOddAnswer((call) => call.method === "PullImage" && ofHurt(call), async ({ node, gilly }) => {
      await otherIsRepaired({ node, gilly });
      assertEquals(created(node).filter(ofHurt), []);
      assertEquals(linesOf(gilly, /no image can be pulled|not-in-mirror|cools down/), []);
      assertEquals(linesOf(gilly, /cannot repair gcr/).length, 1);
    }),
);

scenario(
  standIn(`answers every call with ${oddly}`, "no pass ends the daemon, nothing is pulled or named meanwhile"),
  () =>
    withEachOddAnswer(() => true, ({ node, gilly }) => {
      assertEquals([created(node), node.containerd.pulls()], [[], []]);
      assertEquals(linesOf(gilly, /this pass failed/), []);
      return Promise.resolve();
    }),
);

scenario(
  standIn("HTTP 404 to every call, from something else on the socket", "logged once, and once that it is over"),
  () =>
    withContainerdScene(async ({ node, gilly }) => {
      await gilly.waitForLine(/\[containerd\] .*does not answer \(.*HTTP status 404\)\): no image can be pulled/);
      await gilly.waitForLine(/cannot repair gcr\.io\/acme\/hurt:1 /);
      await callsOf(node, 5);
      node.containerd.intercept = undefined;
      await gilly.waitForLine(/answers again/);
      const about = linesOf(gilly, /\[containerd\]/).map((line) => /does not answer|answers again/.exec(line)?.[0]);
      assertEquals(about, ["does not answer", "answers again"]);
    }, {
      before: ({ containerd }) => containerd.intercept = () => new Response("404 page not found", { status: 404 }),
    }),
);

scenario(
  standIn(
    "a pull that is never answered, and one that never ends",
    "given up within the deadline, retried",
  ),
  async () => {
    await Promise.all((["silent", "stalled"] as const).map((state) =>
      withContainerdScene(async ({ node, gilly }) => {
        await gilly.waitForLine(/no image: pull mirror\.example\/acme\/hurt:1: no progress for 1 s/);
        await otherIsRepaired({ node, gilly });
        assertNoWrongImage(node);
        node.containerd.registries["mirror.example"]!.state = "up";
      }, { before: ({ containerd }) => containerd.registries["mirror.example"]!.state = state })
    ));
  },
);

const NOTHING_CREATED: Readonly<Record<string, () => Response>> = {
  "OK": () => message(Images.method.create.output, {}),
  "ALREADY_EXISTS": () => failure(6, "image: already exists"),
};

scenario(
  standIn(`${Object.keys(NOTHING_CREATED).join(" or ")} to Create, and no name`, "not taken for a success, retried"),
  async () => {
    await Promise.all(
      Object.values(NOTHING_CREATED).map((make) =>
        withContainerdScene(async ({ node, gilly }) => {
          await otherIsRepaired({ node, gilly });
          await gilly.waitForLine(/cannot repair gcr\.io\/acme\/hurt:1 .*its CRI plugin does not see it/);
          assertEquals(node.containerd.has(HURT.name), false);
          assertEquals(linesOf(gilly, /repaired gcr/), []);
          node.containerd.intercept = undefined;
        }, {
          before: ({ containerd }) =>
            containerd.intercept = (call) => call.method === "Create" && ofHurt(call) ? make() : undefined,
        })
      ),
    );
  },
);

scenario(
  standIn(
    "the image vanishes between pull and tag, three times",
    "logged as that, pulled again, the mirror is not blamed",
  ),
  () => {
    let vanished = 0;
    return withContainerdScene(async ({ node, gilly }) => {
      await gilly.waitForLine(
        /cannot repair gcr\.io\/acme\/hurt:1 for default\/hurt: tag sha256:\w+ as .*: not found;/,
      );
      await node.containerd.waitFor(({ method }) => method === "Create" && vanished === 3);
      assertEquals(linesOf(gilly, /not-in-mirror/), []);
    }, {
      before: ({ containerd }) =>
        containerd.intercept = ({ method, request }) => {
          if (method === "Get" && request.name === HURT.image.id && vanished < 3) {
            vanished++;
            containerd.removeImage(HURT.pulled);
          }
          return undefined;
        },
    });
  },
);

scenario(
  standIn("reports one image, has another under the name", "the wrong image is left where it is, and logged"),
  () =>
    withContainerdScene(async ({ node, gilly }) => {
      await gilly.waitForLine(/tagged mirror\.example\/acme\/hurt:1 .*resolves to sha256:f+/);
      await otherIsRepaired({ node, gilly });
      assertNoWrongImage(node);
      node.containerd.intercept = undefined;
    }, {
      before: ({ containerd }) =>
        containerd.intercept = (call) =>
          call.method === "ImageStatus" && imageIn(call) === HURT.name && containerd.has(HURT.name)
            ? message(ImageService.method.imageStatus.output, { image: { id: `sha256:${"f".repeat(64)}` } })
            : undefined,
    }),
);

scenario(
  standIn("CRI-O on the socket", "named in the log, and nothing is pulled into it"),
  () =>
    withContainerdScene(async ({ node, gilly }) => {
      for (const image of [HURT, OTHER]) {
        await gilly.waitForLine(
          new RegExp(`cannot repair ${image.name} .*what listens there is cri-o, not containerd`),
        );
      }
      await callsOf(node, 20);
      assertEquals(node.containerd.pulls(), []);
      assertEquals(linesOf(gilly, /cannot repair/).length, 2);
      node.containerd.intercept = undefined;
    }, {
      before: ({ containerd }) => {
        const criO = { version: "0.1.0", runtimeName: "cri-o", runtimeVersion: "1.20.0", runtimeApiVersion: "v1" };
        containerd.intercept = ({ method }) =>
          method === "Version" ? message(RuntimeService.method.version.output, criO) : undefined;
      },
    }),
);

/** How a stream of events can fail, and how often it is tried before the test goes on. */
const EVENT_FAULTS: readonly (readonly [string, number, (node: FakeContainerdNode) => ContainerdIntercept])[] = [
  ["never begin", 1, () => ({ method }) => method === "Subscribe" ? new Promise(() => {}) : undefined],
  ["end at once", 3, () => ({ method }) => method === "Subscribe" ? rawAnswer(null) : undefined],
  ["end in the middle of a repair", 1, ({ containerd }) => ({ method }) => {
    if (method === "Create") containerd.events.end();
    return undefined;
  }],
  [
    "are garbage",
    3,
    () => ({ method }) => method === "Subscribe" ? rawAnswer(framed(new Uint8Array([255, 254, 253]))) : undefined,
  ],
  [
    "are text",
    3,
    () => ({ method }) => method === "Subscribe" ? rawAnswer(new TextEncoder().encode("<html>")) : undefined,
  ],
  [
    "cannot be published",
    3,
    () => ({ method }) => method === "Publish" ? failure(9, "namespace is required") : undefined,
  ],
];

scenario(
  standIn(
    `events that ${EVENT_FAULTS.map(([what]) => what).join(", ")}`,
    "logged at most once, repaired by polling meanwhile",
  ),
  async () => {
    await Promise.all(EVENT_FAULTS.map(([what, times, make]) =>
      withContainerdScene(async ({ node, gilly }) => {
        await Promise.all([otherIsRepaired({ node, gilly }), gilly.waitForLine(/repaired gcr\.io\/acme\/hurt:1/)]);
        const { containerd } = node;
        await containerd.waitFor(() =>
          containerd.journal.filter(({ method }) => method === "Subscribe").length >= times
        );
        assert(linesOf(gilly, /\[(?:Events|containerd)\]/).length <= 1, `${what}: ${gilly.journal.join("\n")}`);
        containerd.intercept = undefined;
      }, { before: (node) => node.containerd.intercept = make(node) })
    ));
  },
);

scenario(
  standIn(
    "16 MiB of records to every look at a pull, and more than 16 MiB",
    "the pull goes on, others are not delayed",
  ),
  async () => {
    const record = { ref: `layer-sha256:${"a".repeat(64)}`, offset: 1n, total: 2n };
    const { output } = Content.method.listStatuses;
    const size = framed(bytesOf(output, { statuses: [record] })).byteLength - 5;
    const records = (bytes: number) =>
      framed(bytesOf(output, { statuses: Array(Math.floor(bytes / size)).fill(record) }));
    const answers = [records(16 * 1024 * 1024), records(17 * 1024 * 1024)];
    let looks = 0;
    await withContainerdScene(async ({ node, gilly }) => {
      const hold = node.containerd.hold("end", HURT.pulled);
      node.containerd.registries["mirror.example"]!.state = "up";
      await hold.reached;
      const looked = looks;
      await node.containerd.waitFor(() => looks >= looked + 3);
      hold.release();
      await otherIsRepaired({ node, gilly });
    }, {
      config: EAGER_TO_TRY.replace("noProgress: 1s", "noProgress: 30s"),
      before: ({ containerd }) => {
        containerd.registries["mirror.example"]!.state = "cut";
        containerd.intercept = ({ method }) =>
          method === "ListStatuses" ? rawAnswer(answers[looks++ % answers.length]!) : undefined;
      },
    });
  },
);

scenario(
  standIn(
    "ends and starts again with a pull at its beginning, middle, end",
    "asked again, another image is not delayed",
  ),
  async () => {
    for (const at of ["headers", "layers", "end"] as const) {
      await withContainerdScene(async ({ node, gilly }) => {
        await otherIsRepaired({ node, gilly });
        const hold = node.containerd.hold(at, HURT.pulled);
        node.containerd.registries["mirror.example"]!.state = "up";
        await hold.reached;
        await node.containerd.stop();
        assertEquals(node.containerd.has(HURT.name), false);
        await node.containerd.start();
        hold.release();
      }, { before: ({ containerd }) => containerd.registries["mirror.example"]!.state = "cut" });
    }
  },
);

/** Waits until that many more calls have arrived. */
async function callsOf({ containerd }: Scene<FakeContainerdNode>["node"], more: number): Promise<void> {
  const until = containerd.calls + more;
  await containerd.waitFor(() => containerd.calls >= until);
}

function bytesOf<Output extends DescMessage>(output: Output, fields: MessageInitShape<Output>): Uint8Array {
  return toBinary(output, create(output, fields));
}

function message<Output extends DescMessage>(output: Output, fields: MessageInitShape<Output>): Response {
  return rawAnswer(framed(bytesOf(output, fields)));
}

/** Begins a message, and breaks off. */
function brokenOff(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array([0, 0, 0, 0, 9, 10])),
    async pull(controller) {
      // Without the pause the bytes so far would not be sent.
      await new Promise((resolve) => setTimeout(resolve, 20));
      controller.error(new Error("breaks off on purpose"));
    },
  });
}
