// Tests lib/check/runtime.ts: every way in which a runtime fails comes with a remedy.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkKubelets, checkRuntimeFailure } from "../../../lib/check/runtime.ts";
import { containerdAdvice } from "../../../lib/runtime/containerd/advice.ts";
import { dockerAdvice } from "../../../lib/runtime/docker/advice.ts";

const DOCKER = dockerAdvice("/run/docker.sock");

for (
  const [text, message, remedy] of [
    [
      "Permission denied (os error 13)",
      "the group docker",
      "sudo gilly check; if the service cannot open it either: run install.sh again",
    ],
    [
      "No such file or directory (os error 2)",
      "does not exist",
      "check docker.socket in the config; if it is correct: systemctl start docker",
    ],
    ["Connection refused (os error 111)", "nothing listens", "systemctl start docker; journalctl -u docker -n 20"],
  ] as const
) {
  Deno.test(`a Docker socket error "${text}" comes with a remedy`, () => {
    const [finding] = checkRuntimeFailure(DOCKER, { kind: "unreachable", text }, "docker");
    assertEquals(finding!.verdict, "fail");
    assertStringIncludes(finding!.message, message);
    assertStringIncludes(finding!.remedy ?? "", remedy);
  });
}

Deno.test("a config for another runtime than the kubelet's fails, with what to write", () => {
  const containerd = containerdAdvice("/run/containerd/containerd.sock");
  assertEquals(checkKubelets(DOCKER, "docker"), []);
  assertEquals(checkKubelets(containerd, "containerd"), []);
  assertEquals(checkKubelets(DOCKER, undefined), [], "before the first container");
  const [wrong] = checkKubelets(DOCKER, "containerd");
  assertEquals([wrong!.verdict, wrong!.message, wrong!.remedy], [
    "fail",
    "the kubelet runs its containers in containerd, not in the Docker Engine: repairs help no pod",
    "write containerd: with its socket instead of docker: into the config, then run install.sh again, " +
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
