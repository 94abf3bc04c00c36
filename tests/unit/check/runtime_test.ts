// Tests lib/check/runtime.ts: every way in which a runtime fails comes with a remedy.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkInfo, checkKubelets, checkRuntimeFailure } from "../../../lib/check/runtime.ts";
import type { SocketFault } from "../../../lib/runtime/advice.ts";
import { containerdAdvice } from "../../../lib/runtime/containerd/advice.ts";
import { dockerAdvice } from "../../../lib/runtime/docker/advice.ts";

const DOCKER = dockerAdvice("/run/docker.sock");

const FAULTS: readonly (readonly [fault: SocketFault, message: string, remedy: string])[] = [
  [
    { kind: "forbidden" },
    "the group docker",
    "sudo gilly check; if the service cannot open it either: run gilly-setup",
  ],
  [{ kind: "absent" }, "does not exist", "check docker.socket in the config; if it is correct: systemctl start docker"],
  [{ kind: "not-a-socket", found: "a directory" }, "is a directory, not a socket", "rmdir /run/docker.sock"],
  [{ kind: "not-listening" }, "nothing listens", "systemctl start docker; journalctl -u docker -n 20"],
  [{ kind: "hangs" }, "no answer within 30 s", "systemctl status docker containerd"],
];

for (const [fault, message, remedy] of FAULTS) {
  Deno.test(`a Docker socket that is ${fault.kind} comes with a remedy`, () => {
    const [finding] = checkRuntimeFailure(DOCKER, { text: "no answer within 30 s", fault }, "docker");
    assertEquals(finding!.verdict, "fail");
    assertStringIncludes(finding!.message, message);
    assertStringIncludes(finding!.remedy ?? "", remedy);
  });
}

Deno.test("what an Engine says of another file or socket is not said of its own socket", () => {
  for (const text of ["dial unix /run/plugin.sock: connect: no such file or directory", "connection refused"]) {
    const [finding] = checkRuntimeFailure(DOCKER, { text, fault: undefined }, "docker");
    assertEquals([finding!.name, finding!.message], ["docker engine", text]);
  }
});

Deno.test("an Engine whose containerd does not answer it fails, since every pull does", () => {
  const info = { name: "Docker Engine", version: "28.5.2", apiVersion: "1.51", imageStore: "s", canAliasDigest: true };
  assertEquals(checkInfo(DOCKER, info).map(({ verdict }) => verdict), ["ok", "ok", "ok"]);
  const [, engine] = checkInfo(DOCKER, { ...info, silentPart: "containerd" });
  assertEquals([engine!.verdict, engine!.remedy?.slice(0, 27)], ["fail", "systemctl start containerd;"]);
  assertStringIncludes(engine!.message, "its containerd does not answer it, so every pull fails");
});

Deno.test("a config for another runtime than the kubelet's fails, with what to write", () => {
  const containerd = containerdAdvice("/run/containerd/containerd.sock");
  assertEquals(checkKubelets(DOCKER, "docker"), []);
  assertEquals(checkKubelets(containerd, "containerd"), []);
  assertEquals(checkKubelets(DOCKER, undefined), [], "before the first container");
  const [wrong] = checkKubelets(DOCKER, "containerd");
  assertEquals([wrong!.verdict, wrong!.message, wrong!.remedy], [
    "fail",
    "the kubelet runs its containers in containerd, not in the Docker Engine: repairs help no pod",
    "write containerd: with its socket instead of docker: into the config, then run gilly-setup, " +
    "which lets the service use that socket",
  ]);
  assertStringIncludes(
    checkKubelets(containerd, "docker")[0]!.remedy!,
    "write docker: with its socket instead of containerd:",
  );
});

Deno.test("a runtime that no config can name is not offered", () => {
  const [other] = checkKubelets(DOCKER, "isulad");
  assertEquals(other!.remedy, "Gilly supports docker and containerd: uninstall it here");
});

Deno.test("CRI-O is refused by its name, with its own way", () => {
  const [finding] = checkKubelets(DOCKER, "cri-o");
  assertEquals(finding!.verdict, "fail");
  assertStringIncludes(finding!.message, "CRI-O, which has no call that names an image");
  assertStringIncludes(finding!.remedy!, "gilly export registries.conf");
});
