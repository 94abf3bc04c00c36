import { assertEquals } from "@std/assert";
import { denialText } from "../../../lib/mirrors/denial.ts";

const ASKED = "m.example was asked without credentials: it has no authFile under mirrors";

Deno.test("credentials are the cause where the text says so, and a possibility elsewhere", () => {
  const cases = [
    ["pull m.example/a/b:1: unauthorized: authentication required", true],
    ['Head "https://m.example/v2/a/b/manifests/1": no basic auth credentials', true],
    ["unexpected status from HEAD request to https://m.example/v2/a/b/manifests/1: 401 Unauthorized", true],
    ["denied: a/b:1 is blocked by the curation policy of this repository", false],
    ["unexpected status from HEAD request to https://m.example/v2/a/b/manifests/1: 403 Forbidden", false],
    [
      "pull access denied for m.example/a/b, repository does not exist or may require 'docker login': denied: no",
      false,
    ],
  ] as const;
  for (const [text, isCertain] of cases) {
    assertEquals(denialText(text, ASKED), `${text}; ${isCertain ? "" : "if it is about credentials: "}${ASKED}`);
  }
});
