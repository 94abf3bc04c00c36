import { assertEquals } from "@std/assert";
import { LayerProgress } from "../../../../lib/runtime/containerd/progress.ts";

const FIRST = `sha256:${"a".repeat(64)}`;
const SECOND = `sha256:${"b".repeat(64)}`;
const status = (ref: string, offset: bigint, total: bigint) => ({ ref, offset, total });

Deno.test("a layer is news when it begins, when it grows, and when it is no longer written", () => {
  const progress = new LayerProgress();
  const layer = "a".repeat(12);
  const at = (current: number) => [{ layer, status: "Downloading", current, total: 100 }];
  assertEquals(progress.update([status(`layer-${FIRST}`, 0n, 100n)]), at(0));
  assertEquals(progress.update([status(`layer-${FIRST}`, 0n, 100n)]), []);
  assertEquals(progress.update([status(`layer-${FIRST}`, 60n, 100n)]), at(60));
  assertEquals(progress.update([]), [{ layer, status: "Pull complete" }]);
  assertEquals(progress.update([]), []);
  assertEquals(progress.bytes, 100);
});

Deno.test("layers count once, with the sizes of all", () => {
  const progress = new LayerProgress();
  progress.update([status(`layer-${FIRST}`, 1n, 100n), status(`layer-${SECOND}`, 1n, 5_000_000_000n)]);
  progress.update([status(`layer-${FIRST}`, 2n, 100n)]);
  assertEquals(progress.bytes, 5_000_000_100);
});

Deno.test("what is no layer is no progress", () => {
  const progress = new LayerProgress();
  const others = [
    `manifest-${FIRST}`,
    `config-${FIRST}`,
    `layer-sha256:abc`,
    "layer-",
    "",
    `xlayer-${FIRST}`,
    `${FIRST}`,
  ];
  assertEquals(progress.update(others.map((ref) => status(ref, 1n, 2n))), []);
  assertEquals(progress.bytes, 0);
});
