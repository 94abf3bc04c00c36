import { assertEquals } from "@std/assert";
import { isExcepted } from "../../../lib/runtime/no_proxy.ts";

// As documented at golang.org/x/net/http/httpproxy, "Config.NoProxy".
const CASES: readonly (readonly [noProxy: string, isExcepted: boolean])[] = [
  ["", false],
  ["*", true],
  ["gcr.io", true],
  ["GCR.io", true],
  ["gcr.io:443", true],
  ["gcr.io:5000", false],
  ["10.0.0.0/8, gcr.io", true],
  ["quay.io,localhost", false],
  ["io", true],
  [".io", true],
  ["*.io", true],
  [".gcr.io", false],
  ["cr.io", false],
  [",", false],
];

for (const [noProxy, expected] of CASES) {
  Deno.test(`NO_PROXY=${noProxy} ${expected ? "excepts" : "does not except"} gcr.io`, () => {
    assertEquals(isExcepted("gcr.io", noProxy), expected);
  });
}
