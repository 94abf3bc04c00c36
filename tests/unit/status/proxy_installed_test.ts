import { assertEquals } from "@std/assert";
import { isProxyInstalled, type ProxySigns } from "../../../lib/status/proxy_installed.ts";
import { proxyStateWith } from "../../fakes/proxy_state.ts";
import { inTemporaryFolder } from "../../support/folder.ts";

Deno.test("any one of certificate, state and redirect shows that the proxy is installed", async () => {
  await inTemporaryFolder(async (folder) => {
    const certFile = `${folder}/proxy.crt`;
    const none: ProxySigns = { certFile, state: undefined, redirected: new Set() };
    assertEquals(await isProxyInstalled(none), false);
    assertEquals(await isProxyInstalled({ ...none, state: proxyStateWith() }), true);
    assertEquals(await isProxyInstalled({ ...none, redirected: new Set(["gcr.io"]) }), true);
    await Deno.writeTextFile(certFile, "");
    assertEquals(await isProxyInstalled(none), true);
    assertEquals(await isProxyInstalled({ ...none, certFile: `${certFile}/below-a-file.crt` }), false);
  });
});
