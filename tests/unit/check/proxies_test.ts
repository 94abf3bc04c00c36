// Tests lib/check/proxies.ts: the finding names the proxies that Gilly ignores.

import { assertEquals } from "@std/assert";
import { fail } from "../../../lib/check/finding.ts";
import { checkProxies } from "../../../lib/check/proxies.ts";
import { dockerAdvice } from "../../../lib/runtime/docker/advice.ts";

const DOCKER = dockerAdvice("/run/docker.sock");

Deno.test("a proxy in the environment is a warning that Gilly ignores it, and no proxy is no finding", () => {
  assertEquals(checkProxies([], DOCKER), []);
  const [{ verdict, message } = fail("", "")] = checkProxies(["HTTPS_PROXY", "all_proxy"], DOCKER);
  assertEquals([verdict, message], [
    "warn",
    "HTTPS_PROXY, all_proxy name a proxy; Gilly does not use it: the kubelet and the Docker Engine are contacted directly",
  ]);
});
