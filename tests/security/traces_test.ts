// What all commands together do to the runtime and to the disk: no route and no permission beyond
// what they need.

import { assertEquals } from "@std/assert";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type AnyFakeNode, type FakeContainerdNode, type FakeNode, startNode } from "../fakes/node.ts";
import { scenario } from "../scenarios/scenario.ts";
import { runEverything, type Traces } from "./every_command.ts";

/** The seven routes of the Engine's API that Gilly uses. */
const ROUTES = [
  /^GET \/_ping$/,
  /^GET \/info$/,
  /^GET \/events$/,
  /^GET \/images\/.+\/json$/,
  /^GET \/distribution\/.+\/json$/,
  /^POST \/images\/create$/,
  /^POST \/images\/.+\/tag$/,
];

function assertOnlyKnownRoutes({ engine }: FakeNode): void {
  const asked = engine.journal.map(({ method, path }) => `${method} ${path}`);
  assertEquals(asked.filter((call) => !ROUTES.some((route) => route.test(call))), []);
  assertEquals(ROUTES.filter((route) => !asked.some((call) => route.test(call))), [], "routes that nothing needed");
  assertEquals(engine.unexpected, []);
}

/** The ten methods of containerd that Gilly uses. */
const METHODS = [
  "/runtime.v1.RuntimeService/Version",
  "/runtime.v1.RuntimeService/Status",
  "/runtime.v1.ImageService/ImageStatus",
  "/runtime.v1.ImageService/PullImage",
  "/containerd.services.images.v1.Images/Get",
  "/containerd.services.images.v1.Images/Create",
  "/containerd.services.content.v1.Content/ListStatuses",
  "/containerd.services.snapshots.v1.Snapshots/List",
  "/containerd.services.events.v1.Events/Subscribe",
  "/containerd.services.events.v1.Events/Publish",
];

function assertOnlyKnownMethods({ containerd }: FakeContainerdNode): void {
  assertEquals([...new Set(containerd.journal.map(({ path }) => path))].sort(), METHODS.toSorted());
  assertEquals(containerd.unexpected, []);
}

async function tracesOfEverything(node: AnyFakeNode): Promise<Traces> {
  return await runEverything(node, {
    image: "gcr.io/acme/pulled:1",
    until: (gilly) => gilly.waitForLine(/repaired gcr\.io\/acme\/good:1/),
  });
}

const REGISTRIES = {
  "mirror.example": {
    state: "up" as const,
    images: { "acme/good:1": fakeImage("good"), "acme/pulled:1": fakeImage("pulled"), "pause:3": fakeImage("pause") },
  },
};

const BROKEN = {
  pods: [{ name: "good", containers: [{ name: "app", image: "gcr.io/acme/good:1" }] }],
  config: "registries: {gcr.io: mirror.example}\nkeep: [gcr.io/pause:3]\nmetrics: {textfile: metrics.prom}\n",
};

function startBrokenNode(): Promise<FakeNode> {
  return startNode({ ...BROKEN, engine: { registries: REGISTRIES } });
}

const means = "stand-in" as const;

scenario(
  {
    subject: "Docker socket",
    what: "every command in turn",
    means,
    holds: "seven routes, none of which deletes; each is used",
  },
  async () => {
    await using node = await startBrokenNode();
    await tracesOfEverything(node);
    assertOnlyKnownRoutes(node);
  },
);

scenario(
  {
    subject: "containerd's socket",
    what: "every command in turn",
    means,
    holds: "ten methods, none of which deletes; each is used",
  },
  async () => {
    // Slow enough for a look at what is being written.
    const registries = { "mirror.example": { ...REGISTRIES["mirror.example"], state: "slow" as const } };
    await using node = await startNode({ ...BROKEN, runtime: "containerd", containerd: { registries, stepMs: 100 } });
    await tracesOfEverything(node);
    assertOnlyKnownMethods(node);
  },
);

for (const umask of [0o000, 0o022, 0o077]) {
  const what = `every command in turn, with umask 0${umask.toString(8).padStart(3, "0")}`;
  const modes = { "ledger.jsonl": 0o640 & ~umask, "metrics.prom": 0o644, "state.json": 0o644 };
  const shown = Object.entries(modes).map(([name, mode]) => `${name} 0${mode.toString(8)}`).join(", ");
  scenario({ subject: "files", what, means, holds: shown }, async () => {
    await using node = await startBrokenNode();
    const before = Deno.umask(umask);
    try {
      assertEquals(Object.fromEntries((await tracesOfEverything(node)).modes), modes);
    } finally {
      Deno.umask(before);
    }
  });
}
