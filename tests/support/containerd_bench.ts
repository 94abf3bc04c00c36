// A ContainerdRuntime on a fake containerd with one mirror, and what its tests share.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ContainerdRuntime } from "../../lib/runtime/containerd/client.ts";
import { RuntimeError, type RuntimeErrorKind } from "../../lib/runtime/errors.ts";
import {
  type ContainerdIntercept,
  type FakeContainerd,
  type FakeContainerdOptions,
  fakeImage,
  startFakeContainerd,
} from "../fakes/containerd.ts";

/** The image of the mirror, and its name there. */
export const IMAGE = fakeImage("ansible-runner");
export const MIRRORED = "mirror.example/sgryczan/ansible-runner:0.0.0";

/** What a test is given. */
export interface Bench {
  readonly containerd: FakeContainerd;
  readonly runtime: ContainerdRuntime;
  /** Never aborted. */
  readonly signal: AbortSignal;
}

/** Registers a test with a fake containerd; it fails if that receives an unexpected call. */
export function containerdTest(
  name: string,
  body: (bench: Bench) => Promise<void>,
  options: Partial<FakeContainerdOptions> & { readonly noProgressMs?: number; readonly callTimeoutMs?: number } = {},
): void {
  Deno.test(name, async () => {
    const dir = await Deno.makeTempDir({ prefix: "gilly-containerd-" });
    const socket = `${dir}/containerd.sock`;
    const { noProgressMs = 5000, callTimeoutMs = 5000, ...rest } = options;
    const images = { "sgryczan/ansible-runner:0.0.0": IMAGE };
    const registries = { "mirror.example": { state: "up" as const, images } };
    const containerd = await startFakeContainerd({ socket, registries, ...rest });
    const runtime = new ContainerdRuntime({ socket, noProgressMs, callTimeoutMs });
    try {
      await body({ containerd, runtime, signal: new AbortController().signal });
    } finally {
      runtime.close();
      await containerd.stop();
      await Deno.remove(dir, { recursive: true });
    }
    assertEquals(containerd.unexpected, []);
  });
}

/** Asserts that a call fails with this kind, and returns its error. */
export async function failureOf(kind: RuntimeErrorKind, call: () => Promise<unknown>): Promise<RuntimeError> {
  const error = await assertRejects(call, RuntimeError);
  assertEquals(error.kind, kind, error.message);
  return error;
}

/** Intercepts one method with another answer. */
export function answering(method: string, answer: () => Response | Promise<Response>): ContainerdIntercept {
  return (call) => call.method === method ? answer() : undefined;
}

/** Returns the mirror, whose state a test may change. */
export function mirrorOf(containerd: FakeContainerd) {
  const mirror = containerd.registries["mirror.example"];
  assert(mirror !== undefined);
  return mirror;
}
