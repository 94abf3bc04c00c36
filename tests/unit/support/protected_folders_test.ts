// Tests which paths are in the system's folders, and that the binary is denied the same ones.

import { assertEquals } from "@std/assert";
import { mistakeInWrittenPath, PROTECTED_FOLDERS, protectedFolderOf } from "../../../lib/support/protected_folders.ts";
import { permissions } from "../../support/program.ts";

/** A path, and the system folder that its text is in. */
const PATHS: readonly (readonly [string, string | undefined])[] = [
  ["/etc", "/etc"],
  ["/etc/gilly/ledger.jsonl", "/etc"],
  ["//etc//gilly", "/etc"],
  ["/var/lib/../../bin/x", "/bin"],
  ["/var/./../usr/local/x", "/usr"],
  ["/../../proc/self/cwd/x", "/proc"],
  ["/lib64/x", "/lib64"],
  ["/etc/../var/x", undefined],
  ["/etcetera/x", undefined],
  ["/var/etc/x", undefined],
  ["/library/x", undefined],
  ["/", undefined],
  ["etc/x", undefined],
];

for (const [path, folder] of PATHS) {
  Deno.test(`${path} is in ${folder ?? "no system folder"}`, () => {
    assertEquals(protectedFolderOf(path), folder);
    assertEquals(mistakeInWrittenPath(path) === undefined, folder === undefined);
  });
}

Deno.test("the binary is denied exactly the folders that are refused", async () => {
  const denied = (await permissions()).find((flag) => flag.startsWith("--deny-write="));
  assertEquals(denied, `--deny-write=${PROTECTED_FOLDERS.join(",")}`);
});
