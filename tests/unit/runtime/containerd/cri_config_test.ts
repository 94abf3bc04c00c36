// Tests lib/runtime/containerd/cri_config.ts.

import { assertEquals } from "@std/assert";
import { readCriConfig } from "../../../../lib/runtime/containerd/cri_config.ts";

Deno.test("the registries' folder and the snapshotter are read where CRI shows them", () => {
  const json = (config: unknown) => readCriConfig(JSON.stringify(config));
  assertEquals(json({ containerd: { snapshotter: "native" }, registry: { configPath: "/etc/containerd/certs.d" } }), {
    mirrorsFolder: "/etc/containerd/certs.d",
    snapshotter: "native",
  });
  assertEquals(json({ registry: { configPath: "" } }), { mirrorsFolder: "", snapshotter: undefined });
});

for (const text of [undefined, "", "{", "null", "[]", '{"registry": null}', '{"registry": {"configPath": 7}}']) {
  Deno.test(`nothing is known from ${text}`, () => {
    assertEquals(readCriConfig(text), { mirrorsFolder: undefined, snapshotter: undefined });
  });
}
