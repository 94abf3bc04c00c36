// Tests lib/check/runtime.ts: every way in which a runtime fails comes with a remedy.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkRuntimeFailure } from "../../../lib/check/runtime.ts";
import { dockerAdvice } from "../../../lib/runtime/docker/advice.ts";

const DOCKER = dockerAdvice("/run/docker.sock");

for (
  const [text, message, remedy] of [
    [
      "Permission denied (os error 13)",
      "the group docker",
      "sudo gilly check; if the service cannot open it either: SupplementaryGroups=docker",
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
