// Faults that a real Docker Engine does not show on demand, on a fake behind the same socket.

import { assertEquals, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import type { EngineCall, RegistryState } from "../fakes/docker_engine.ts";
import { scenario } from "../scenarios/scenario.ts";
import { assertNoWrongImage, HURT, otherIsRepaired, withScene } from "./scene.ts";

const ofHurt = ({ path, query }: EngineCall) =>
  path.includes("acme/hurt") || query.repo?.includes("acme/hurt") || query.fromImage?.includes("acme/hurt");

const standIn = (what: string, holds: string) => ({ subject: "Docker", what, means: "stand-in" as const, holds });

scenario(
  standIn("500 on tag", "logged as a failure, retried, nothing half done"),
  () =>
    withScene(async ({ node, gilly }) => {
      await gilly.waitForLine(/cannot repair gcr\.io\/acme\/hurt:1 .*the disk is in a mood/);
      await otherIsRepaired({ node, gilly });
      assertEquals(node.engine.has(HURT.name), false);
      node.engine.intercept = undefined;
    }, {
      before: ({ engine }) =>
        engine.intercept = (call) =>
          call.path.endsWith("/tag") && ofHurt(call)
            ? Response.json({ message: "the disk is in a mood" }, { status: 500 })
            : undefined,
    }),
);

scenario(standIn("200 on tag, and no tag", "not taken for a success"), () =>
  withScene(async ({ node, gilly }) => {
    await gilly.waitForLine(/cannot repair gcr\.io\/acme\/hurt:1 /);
    assertEquals(node.engine.has(HURT.name), false);
    node.engine.intercept = undefined;
  }, {
    before: ({ engine }) =>
      engine.intercept = (call) => call.path.endsWith("/tag") && ofHurt(call) ? new Response("OK") : undefined,
  }));

const STREAMS: readonly (readonly [RegistryState, string, RegExp])[] = [
  ["torn", "pull stream torn", /cut off/],
  ["cut", "pull stream that ends before it says how", /ended the stream before it reported/],
  ["silent", "pull stream that never begins", /no progress for 1 s/],
  ["stalled", "pull stream that repeats itself", /no progress for 1 s/],
];

for (const [state, what, said] of STREAMS) {
  scenario(standIn(what, "given up within the deadline, retried"), () =>
    withScene(async ({ node, gilly }) => {
      await gilly.waitForLine(said);
      await otherIsRepaired({ node, gilly });
      assertNoWrongImage(node);
      node.engine.registries["mirror.example"]!.state = "up";
    }, { before: ({ engine }) => engine.registries["mirror.example"]!.state = state }));
}

scenario(
  standIn("pull stream with an error after 90 %", "not taken for a success, though most of it was there"),
  () =>
    withScene(async ({ node, gilly }) => {
      await gilly.waitForLine(/no image: .*read tcp: connection reset by peer/);
      await otherIsRepaired({ node, gilly });
      assertEquals(node.engine.has(HURT.name), false);
      node.engine.intercept = undefined;
    }, { before: ({ engine }) => engine.intercept = answerPullsWith(nearlyWhole()) }),
);

const GARBAGE: Readonly<Record<string, () => Response>> = {
  "a web page": () => new Response("<html>It works!</html>", { headers: { "Content-Type": "text/html" } }),
  "bytes": () => new Response(new Uint8Array(4096).map((_, index) => index * 31)),
  "nothing": () => new Response(""),
  "null": () => new Response("null"),
  "a list": () => Response.json([{ Id: "sha256:0" }]),
  "other types": () => Response.json({ Id: 5, RepoTags: "a", status: [], Status: {}, ServerVersion: {} }),
  "an endless line": () => new Response(endless('{"status":"')),
  "a redirect": () => new Response(null, { status: 301, headers: { Location: "/json" } }),
  "418": () => new Response("short and stout", { status: 418 }),
};

const garbage = Object.keys(GARBAGE).join(", ");

scenario(
  standIn(`answers every call with ${garbage}`, "no pass ends the daemon, nothing is tagged meanwhile"),
  async () => {
    for (const make of Object.values(GARBAGE)) {
      await withScene(async ({ node, gilly }) => {
        await gilly.waitForLine(/cannot repair gcr\.io\/acme\/hurt:1 /);
        await gilly.waitForLine(/cannot repair quay\.io\/acme\/other:1 /);
        assertEquals(node.engine.journal.filter(({ path }) => path.endsWith("/tag")), []);
        node.engine.intercept = undefined;
      }, { before: ({ engine }) => engine.intercept = ({ path }) => path === "/_ping" ? undefined : make() });
    }
  },
);

scenario(
  standIn(`answers every pull with ${garbage}`, "nothing is tagged meanwhile, others are not delayed"),
  async () => {
    for (const make of Object.values(GARBAGE)) {
      await withScene(async ({ node, gilly }) => {
        await gilly.waitForLine(/cannot repair gcr\.io\/acme\/hurt:1 /);
        await otherIsRepaired({ node, gilly });
        assertEquals(node.engine.journal.filter((call) => call.path.endsWith("/tag") && ofHurt(call)), []);
        node.engine.intercept = undefined;
      }, { before: ({ engine }) => engine.intercept = answerPullsWith(make) });
    }
  },
);

scenario(
  standIn("answers the ping with garbage", "no call is sent to a server that is not an Engine"),
  () =>
    withScene(async ({ node, gilly }) => {
      await gilly.waitForLine(/cannot repair .*does not answer as a Docker Engine/);
      assertEquals(node.engine.journal.filter(({ path }) => path !== "/_ping"), []);
      node.engine.intercept = undefined;
    }, {
      before: ({ engine }) => engine.intercept = () => new Response("<html>It works!</html>", { status: 404 }),
    }),
);

scenario(
  standIn("reports one image, has another under the name", "the wrong image is left where it is, and logged"),
  () =>
    withScene(async ({ node, gilly }) => {
      // After the tag, a request for the original name returns another image.
      await gilly.waitForLine(/tagged mirror\.example\/acme\/hurt:1 .*resolves to sha256:f+/);
      await otherIsRepaired({ node, gilly });
      assertNoWrongImage(node);
      node.engine.intercept = undefined;
    }, {
      before: ({ engine }) =>
        engine.intercept = ({ path, method }) =>
          method === "GET" && path === `/images/${HURT.name}/json` && engine.has(HURT.name)
            ? Response.json({ Id: `sha256:${"f".repeat(64)}` })
            : undefined,
    }),
);

scenario(
  standIn(
    "another Engine version on a new socket, with a pull at its beginning, middle, end",
    "asked again, in its version",
  ),
  async () => {
    for (const at of ["headers", "layers", "end"] as const) {
      await withScene(async ({ node, gilly }) => {
        await otherIsRepaired({ node, gilly });
        const hold = node.engine.hold(at, HURT.pulled);
        node.engine.registries["mirror.example"]!.state = "up";
        await hold.reached;
        await node.engine.stop();
        await node.engine.start({ apiVersion: "1.30", version: "17.06.0-ce" });
        hold.release();
        await node.engine.waitFor(({ path, version }) => path === "/images/create" && version === "1.30");
      }, { before: ({ engine }) => engine.registries["mirror.example"]!.state = "cut" });
    }
  },
);

scenario(
  standIn("a mirror that takes 4 s to refuse, and polls an hour apart", "retried at the announced time"),
  () =>
    withScene(async ({ node, gilly }) => {
      await gilly.waitForLine(/cannot repair gcr\.io\/acme\/hurt:1 .*not-in-mirror: .*; next try in 1 s$/);
      const said = performance.now();
      const pulls = () => node.engine.journal.filter((call) => call.path === "/images/create" && ofHurt(call));
      const first = pulls();
      node.engine.intercept = undefined;
      await node.engine.waitFor((call) => pulls().includes(call) && !first.includes(call));
      // Any other trigger of a pass comes much later: the other image's is due after 20 s.
      assertLess(performance.now() - said, 5000);
    }, {
      config: `
registries: {gcr.io: mirror.example, quay.io: other.example}
poll: {interval: 1h, safety: 1h}
repair: {backoff: {initial: 500ms, max: 1s}}
`,
      before: ({ engine }) =>
        engine.intercept = async (call) => {
          if (call.path !== "/images/create" || !ofHurt(call)) return undefined;
          await delay(4000);
          return Response.json({ message: "manifest unknown" }, { status: 404 });
        },
    }),
);

function answerPullsWith(make: () => Response): (call: EngineCall) => Response | undefined {
  return (call) => call.path === "/images/create" && ofHurt(call) ? make() : undefined;
}

function nearlyWhole(): () => Response {
  const line = (share: number) => ({
    id: "0123456789ab",
    status: "Downloading",
    progressDetail: { current: share * 1000, total: 1000 },
  });
  const last = { errorDetail: { message: "read tcp: connection reset by peer" }, error: "connection reset by peer" };
  const lines = [...Array.from({ length: 10 }, (_, index) => line(index / 10)), last];
  return () => new Response(lines.map((line) => `${JSON.stringify(line)}\r\n`).join(""));
}

/** Sends `begin`, and then more characters without end. */
function endless(begin: string): ReadableStream<Uint8Array> {
  const more = new TextEncoder().encode("x".repeat(64 * 1024));
  return new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode(begin)),
    pull: (controller) => controller.enqueue(more),
  });
}
