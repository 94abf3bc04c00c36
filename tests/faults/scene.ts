// The scene of most faults: a node of fakes with two broken pods, and the daemon. The fault affects
// one pod; the other must be repaired nevertheless.

import { assertEquals } from "@std/assert";
import type { Gilly } from "../e2e/gilly.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import {
  type FakeContainerdNode,
  type FakeContainerdNodeOptions,
  type FakeNode,
  type FakeNodeOptions,
  startNode,
} from "../fakes/node.ts";
import { startProgram } from "../support/program.ts";

/** The image that the fault affects: its name, where it is pulled from, and what is there. */
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

/** A node of fakes with either runtime. */
type AnyNode = FakeNode | FakeContainerdNode;

function mirrors() {
  return {
    "mirror.example": { state: "up" as const, images: { "acme/hurt:1": HURT.image } },
    "other.example": { state: "up" as const, images: { "acme/other:1": OTHER.image } },
  };
}

/** The node of a scene; the mirrors serve both images. */
export function startScene(
  options: Pick<FakeNodeOptions, "config" | "engine" | "ledgerFile"> = {},
): Promise<FakeNode> {
  const engine = { registries: mirrors(), ...options.engine };
  return startNode({ config: EAGER_TO_TRY, ...options, pods: PODS, engine });
}

/** The same with containerd. */
export function startContainerdScene(
  options: Pick<FakeContainerdNodeOptions, "config" | "containerd"> = {},
): Promise<FakeContainerdNode> {
  const containerd = { registries: mirrors(), ...options.containerd };
  return startNode({ config: EAGER_TO_TRY, ...options, runtime: "containerd", pods: PODS, containerd });
}

/** A scene with its daemon. */
export interface Scene<Node extends AnyNode = FakeNode> {
  readonly node: Node;
  readonly gilly: Gilly;
}

/** Runs `fault`, which returns once the fault is gone, with a daemon; then asserts `wellAgain`. */
export async function withScene(
  fault: (scene: Scene) => Promise<void>,
  options: Parameters<typeof startScene>[0] & { readonly before?: (node: FakeNode) => void } = {},
): Promise<void> {
  await using node = await startScene(options);
  options.before?.(node);
  await withDaemon(node, fault);
}

/** The same with containerd. */
export async function withContainerdScene(
  fault: (scene: Scene<FakeContainerdNode>) => Promise<void>,
  options: Parameters<typeof startContainerdScene>[0] & { readonly before?: (node: FakeContainerdNode) => void } = {},
): Promise<void> {
  await using node = await startContainerdScene(options);
  options.before?.(node);
  await withDaemon(node, fault);
}

async function withDaemon<Node extends AnyNode>(
  node: Node,
  fault: (scene: Scene<Node>) => Promise<void>,
): Promise<void> {
  await using gilly = await startProgram(["run", "--config", node.configFile]);
  await fault({ node, gilly });
  await wellAgain({ node, gilly });
}

/** Waits until the other image is repaired, regardless of the fault. */
export function otherIsRepaired({ gilly }: Scene<AnyNode>): Promise<string> {
  return gilly.waitForLine(hasImage("quay.io/acme/other:1"));
}

/** Waits for both images; then `assertRunning` must hold and the daemon exit with code 0. */
export async function wellAgain({ node, gilly }: Scene<AnyNode>): Promise<void> {
  await gilly.waitForLine(hasImage(HURT.name));
  await otherIsRepaired({ node, gilly });
  await node.kubelet.advance();
  assertRunning(node);
  assertEquals((await gilly.end("SIGTERM")).code, 0, gilly.journal.slice(-5).join("\n"));
}

/** What the daemon logs once a name has an image, repaired or already present. */
function hasImage(name: string): RegExp {
  return new RegExp(`\\[Repair\\] +(?:repaired ${name} for|${name} is already present)`);
}

/** Asserts that no name has another image than its mirror serves. A name may be missing. */
export function assertNoWrongImage(node: AnyNode): void {
  for (const { name, image } of [HURT, OTHER]) {
    const id = runtimeOf(node).idOf(name);
    if (id !== undefined) assertEquals(id, image.id, name);
  }
}

/** Asserts that both names have their images, both pods run, and the runtime got no other call. */
export function assertRunning(node: AnyNode): void {
  const runtime = runtimeOf(node);
  assertEquals([HURT, OTHER].map(({ name }) => runtime.idOf(name)), [HURT.image.id, OTHER.image.id]);
  assertEquals(node.kubelet.containers().map(({ state }) => state), ["Running", "Running"]);
  assertEquals(runtime.unexpected, []);
}

function runtimeOf(node: AnyNode) {
  return "engine" in node ? node.engine : node.containerd;
}
