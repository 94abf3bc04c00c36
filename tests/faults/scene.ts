// What most faults happen to: a node of stand-ins with two broken pods, and the daemon beside it. One pod is hurt by the
// fault, the other must be repaired all the same.

import { assertEquals } from "@std/assert";
import type { Gilly } from "../e2e/gilly.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type FakeNode, type FakeNodeOptions, startNode } from "../fakes/node.ts";
import { startProgram } from "../support/program.ts";

/** The image that the fault is about: its name, where it is pulled from, and what is there. */
export const HURT = {
  name: "gcr.io/acme/hurt:1",
  pulled: "mirror.example/acme/hurt:1",
  image: fakeImage("hurt", [1000, 2000]),
};

/** The image that the fault must not delay; it has a mirror of its own. */
export const OTHER = {
  name: "quay.io/acme/other:1",
  pulled: "other.example/acme/other:1",
  image: fakeImage("other", [3000]),
};

/** A config that tries again soon. */
export const EAGER_TO_TRY = `
registries: {gcr.io: mirror.example, quay.io: other.example}
poll: {interval: 1s, safety: 1s}
repair: {backoff: {initial: 100ms, max: 1s}, noProgress: 1s}
`;

const PODS = [
  { name: "hurt", containers: [{ name: "app", image: HURT.name }] },
  { name: "other", containers: [{ name: "app", image: OTHER.name }] },
];

/** The node of a scene; the mirrors serve both images. */
export function startScene(
  options: Pick<FakeNodeOptions, "config" | "engine" | "ledgerFile"> = {},
): Promise<FakeNode> {
  const registries = {
    "mirror.example": { state: "up" as const, images: { "acme/hurt:1": HURT.image } },
    "other.example": { state: "up" as const, images: { "acme/other:1": OTHER.image } },
  };
  return startNode({
    config: EAGER_TO_TRY,
    ...options,
    pods: PODS,
    engine: { registries, ...options.engine },
  });
}

/** A scene with its daemon. */
export interface Scene {
  readonly node: FakeNode;
  readonly gilly: Gilly;
}

/** Runs `fault` beside a daemon; it returns once the fault is gone. Then all must be well again, see `wellAgain`. */
export async function withScene(
  fault: (scene: Scene) => Promise<void>,
  options: Parameters<typeof startScene>[0] & { readonly before?: (node: FakeNode) => void } = {},
): Promise<void> {
  await using node = await startScene(options);
  options.before?.(node);
  await using gilly = await startProgram(["run", "--config", node.configFile]);
  await fault({ node, gilly });
  await wellAgain({ node, gilly });
}

/** The other image was repaired, whatever hurts this one. */
export function otherIsRepaired({ gilly }: Scene): Promise<string> {
  return gilly.waitForLine(hasImage("quay.io/acme/other:1"));
}

/** Both images are under their names, both pods run, the Engine was asked for nothing else, and the daemon lives. */
export async function wellAgain({ node, gilly }: Scene): Promise<void> {
  await gilly.waitForLine(hasImage(HURT.name));
  await otherIsRepaired({ node, gilly });
  await node.kubelet.advance();
  assertRunning(node);
  assertEquals((await gilly.end("SIGTERM")).code, 0, gilly.journal.slice(-5).join("\n"));
}

/** What the daemon says once a name has an image, whoever put it there. */
function hasImage(name: string): RegExp {
  return new RegExp(`\\[Repair\\] +(?:repaired ${name} for|${name} is already present)`);
}

/** What may never be: a name with another image than the one its mirror serves. A name may be missing. */
export function assertNoWrongImage({ engine }: FakeNode): void {
  for (const { name, image } of [HURT, OTHER]) {
    const id = engine.idOf(name);
    if (id !== undefined) assertEquals(id, image.id, name);
  }
}

/** Both names have their images, both pods run, and the Engine was asked for nothing that Gilly does not need. */
export function assertRunning(node: FakeNode): void {
  assertEquals([HURT, OTHER].map(({ name }) => node.engine.idOf(name)), [HURT.image.id, OTHER.image.id]);
  assertEquals(node.kubelet.containers().map(({ state }) => state), ["Running", "Running"]);
  assertEquals(node.engine.unexpected, []);
}
