// Holds lib/check/proxies.ts to naming the proxies that are ignored.

import { assertEquals } from "@std/assert";
import { fail } from "../../../lib/check/finding.ts";
import { checkProxies } from "../../../lib/check/proxies.ts";
import { dockerAdvice } from "../../../lib/runtime/docker/advice.ts";

const DOCKER = dockerAdvice("/run/docker.sock");

Deno.test("a proxy of the environment is a warning that says whom it does not serve, and none is no finding", () => {
  assertEquals(checkProxies([], DOCKER), []);
  const [{ verdict, message } = fail("", "")] = checkProxies(["HTTPS_PROXY", "all_proxy"], DOCKER);
  assertEquals([verdict, message], [
    "warn",
    "HTTPS_PROXY, all_proxy name a proxy; Gilly does not use it: the kubelet and the Docker Engine are asked directly",
  ]);
});
