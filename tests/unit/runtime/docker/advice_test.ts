// Tests lib/runtime/docker/advice.ts: which settings of an Engine are named, and when.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { dockerAdvice } from "../../../../lib/runtime/docker/advice.ts";

const advice = dockerAdvice("/run/docker.sock");

function fixFor(version: string, canAliasDigest: boolean) {
  return advice.permanentFix({
    name: "Docker Engine",
    version,
    apiVersion: "1.41",
    imageStore: "some",
    canAliasDigest,
  });
}

for (
  const [version, canAliasDigest, isThere] of [
    ["28.5.2", true, true],
    ["29.0.0-rc.1", true, true],
    ["27.5.1", true, false],
    ["28.5.2", false, false],
    ["unknown", true, false],
  ] as const
) {
  const store = canAliasDigest ? "containerd" : "classic";
  Deno.test(`Engine ${version} with the ${store} store ${isThere ? "reads" : "does not read"} hosts.toml`, () => {
    const { message, remedy } = fixFor(version, canAliasDigest);
    assertEquals(message.includes("hosts.toml"), isThere);
    assertEquals(remedy, isThere ? "gilly export docker writes them" : undefined);
  });
}

Deno.test("if the Engine takes no mirrors, the message gives the reason and the consequence", () => {
  const says = (why: string) => `not possible with this Docker Engine (${why}), so keep Gilly running`;
  assertEquals(fixFor("20.10.24", false).message, says("mirrors for docker.io only"));
  assertEquals(fixFor("27.5.1", true).message, says("27.5.1; mirrors require 28.0"));
});

Deno.test("a mirror's CA, and a client's certificate, have their places in certs.d", () => {
  const folder = "/etc/docker/certs.d/m.example";
  assertEquals(advice.mirrorRemedy("m.example", "unknown-issuer"), `put the mirror's CA into ${folder}/ca.crt`);
  assertStringIncludes(advice.mirrorRemedy("m.example", "client-certificate")!, `${folder}/client.cert`);
  assertEquals(advice.mirrorRemedy("m.example", "refused"), undefined);
});
