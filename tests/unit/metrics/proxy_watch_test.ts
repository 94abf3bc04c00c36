import { assertEquals } from "@std/assert";
import { watchedProxy } from "../../../lib/metrics/proxy_watch.ts";
import { NOW } from "../../fakes/node_facts.ts";
import { proxyStateWith } from "../../fakes/proxy_state.ts";
import { inTemporaryFolder } from "../../support/folder.ts";

Deno.test("a proxy that runs is watched even if its certificate is gone, and none where nothing of it is", async () => {
  await inTemporaryFolder(async (folder) => {
    const stateFile = `${folder}/state.json`;
    const proxy = {
      certFile: `${folder}/proxy.crt`,
      hosts: ["gcr.io"],
      listen: { hostname: "127.0.0.1", port: 12443 },
    };
    const settings = { runtime: { kind: "docker" }, proxy } as const;
    assertEquals(await watchedProxy(settings, stateFile, NOW), undefined);
    await Deno.writeTextFile(stateFile, JSON.stringify(proxyStateWith()));
    assertEquals(await watchedProxy(settings, stateFile, NOW), {
      state: proxyStateWith(),
      redirected: new Map([["gcr.io", false]]),
    });
  });
});
