// Tests lib/check/files/credentials.ts: secret files that every user may open. Open mirrors are in
// auth_paths_test.ts.

import { assertEquals } from "@std/assert";
import { checkSecretFile } from "../../../../lib/check/files/credentials.ts";

Deno.test("a secret that others may read or change is a warning that says how to close it", () => {
  for (const mode of [0o100600, 0o100640, 0o100400]) assertEquals(checkSecretFile("k", "/k", mode), undefined);
  for (const mode of [0o100644, 0o100604, 0o100602]) assertEquals(checkSecretFile("k", "/k", mode)?.verdict, "warn");
  assertEquals(checkSecretFile("kubelet.keyFile", "/etc/k.key", 0o100644), {
    name: "kubelet.keyFile",
    verdict: "warn",
    message: "/etc/k.key holds a secret, but its mode 0644 gives every user of this host access",
    remedy: "chmod o= /etc/k.key",
  });
});
