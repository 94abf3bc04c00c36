import { assertEquals } from "@std/assert";
import { foreignIn, redirectedHosts, redirectedIn } from "../../../lib/status/hosts_file.ts";

const BLOCK = "# BEGIN gilly\n169.254.77.7 gcr.io quay.io # gilly\n# END gilly\n";
const REST = "127.0.0.1\tlocalhost\n10.0.0.1 k8s.gcr.io k8s # ours\n# 10.0.0.2 quay.io\n";

Deno.test("the registries in the line of gilly-redirect are redirected, and no others", () => {
  assertEquals([...redirectedIn(BLOCK + REST)], ["gcr.io", "quay.io"]);
  assertEquals([...redirectedIn(REST + BLOCK)], ["gcr.io", "quay.io"]);
  for (const text of ["", REST, "# 169.254.77.7 gcr.io # gilly\n"]) assertEquals([...redirectedIn(text)], []);
});

Deno.test("a line of somebody else counts if it is in force, in any case of its letters", () => {
  const hosts = ["gcr.io", "quay.io", "k8s.gcr.io"];
  assertEquals(foreignIn(BLOCK + REST, hosts), ["10.0.0.1 k8s.gcr.io"]);
  assertEquals(foreignIn("::1 GCR.io", hosts), ["::1 GCR.io"]);
  assertEquals(foreignIn(BLOCK, hosts), []);
});

Deno.test("without the file nothing is redirected", async () => {
  assertEquals([...await redirectedHosts("/nonexistent/hosts")], []);
});
