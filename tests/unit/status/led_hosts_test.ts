// Tests lib/status/led_hosts.ts: the files of containerd.

import { assertEquals } from "@std/assert";
import { FORMATS } from "../../../lib/export/formats.ts";
import { ledHosts } from "../../../lib/status/led_hosts.ts";
import { inTemporaryFolder } from "../../support/folder.ts";

const LISTEN = "127.0.0.1:12443";

/** Puts the files of the export into a folder. */
async function put(folder: string, rules: Record<string, string>, address: string | undefined): Promise<void> {
  const { files } = FORMATS.containerd({
    rules: Object.entries(rules).map(([origin, mirror], line) => ({ origin, mirrors: [mirror], line })),
    source: "config.yaml",
    withCredentials: [],
    excluded: [],
    authorities: {},
    ...(address !== undefined && { viaProxy: { address, certFile: "/etc/gilly/proxy.crt" } }),
  });
  for (const { path, content } of files) {
    const target = `${folder}/${path.split("/").slice(-2).join("/")}`;
    await Deno.mkdir(target.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(target, content);
  }
}

async function led(folder: string, hosts: readonly string[] = []): Promise<string[]> {
  return [...await ledHosts({ runtime: "containerd", listen: LISTEN, hosts }, folder)];
}

Deno.test("containerd is led by the files that the export through the proxy writes, and by no others", () =>
  inTemporaryFolder(async (folder) => {
    assertEquals(await led(`${folder}/absent`, ["gcr.io"]), []);
    await put(folder, { "gcr.io": "m.example", "quay.io": "m.example" }, LISTEN);
    await put(folder, { "ghcr.io": "m.example" }, undefined);
    await put(folder, { "k8s.gcr.io": "m.example" }, "127.0.0.1:4443");
    await Deno.mkdir(`${folder}/empty`);
    assertEquals(await led(folder, ["gcr.io", "registry.k8s.io"]), ["gcr.io", "quay.io"]);
  }));

Deno.test("a file for every registry leads those that have none of their own", () =>
  inTemporaryFolder(async (folder) => {
    await put(folder, { "*": "m.example" }, LISTEN);
    await put(folder, { "ghcr.io": "m.example" }, undefined);
    assertEquals(await led(folder, ["ghcr.io", "gcr.io"]), ["gcr.io"]);
  }));
