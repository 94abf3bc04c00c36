// Whatever name a pod gives its image, it is pulled only from a configured mirror and below that
// mirror's path.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { compileExclusions } from "../../lib/images/exclusions.ts";
import { parseReference } from "../../lib/images/reference.ts";
import { compileRules } from "../../lib/images/rules.ts";
import { isRefusal, planImage } from "../../lib/plan/plan.ts";
import { repair } from "../../lib/repair/repair.ts";
import { pullQuery } from "../../lib/runtime/docker/request.ts";
import { MemoryRuntime, openMirrors } from "../fakes/runtime.ts";
import { scenario } from "../scenarios/scenario.ts";

/** Origins, and the only places below which their mirrors may be queried. */
const RULES: Readonly<Record<string, readonly string[]>> = {
  "gcr.io": ["mirror.example"],
  "quay.io": ["mirror.example/quay", "second.example:5000/a/b"],
  "*.pkg.dev": ["harbor.example/proxy/{registry}"],
  "k8s.gcr.io": ["mirror.example/google_containers"],
  "gcr.io/google-containers": ["mirror.example/google_containers"],
  "[::1]:5000": ["mirror.example/v6"],
  "*": ["harbor.example/{registry}/all"],
};

const PLACES = ["mirror.example/", "second.example:5000/a/b/", "harbor.example/"];
const registries = compileRules(Object.entries(RULES).map(([origin, mirrors]) => ({ origin, mirrors })));
const exclusions = compileExclusions({ images: [], namespaces: [] });

/** Pieces of plausible references: what matters to a parser. */
const pieces = fc.constantFrom(
  ...["gcr.io", "quay.io", "evil.example", "mirror.example", "harbor.example", "localhost", "a.pkg.dev", "EVIL.io"],
  ...["docker.io", "index.docker.io", "127.0.0.1:5000", "[::1]:5000", "{registry}", "evil.example:443", "gсr.io"],
  ...["/", "//", "/../", "/./", "..", "\\", "%2f", "%2e%2e", ":", "@", "?", "#", "&", "=", "\n", "\0", " ", "\u202e"],
  ...[
    "a",
    "acme",
    "google-containers",
    "library",
    "x__y",
    "v2",
    "1",
    "latest",
    `@sha256:${"a".repeat(64)}`,
    "https://",
  ],
);
const images = fc.oneof(
  { weight: 6, arbitrary: fc.array(pieces, { minLength: 1, maxLength: 9 }).map((parts) => parts.join("")) },
  {
    weight: 4,
    arbitrary: fc.tuple(pieces, fc.array(pieces, { minLength: 1, maxLength: 4 }), fc.constantFrom("", ":1", ":latest"))
      .map(([host, path, tag]) => `${host}/${path.join("/")}${tag}`),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
);

const imageName = { subject: "image name", means: "stand-in" as const };

scenario({
  ...imageName,
  what: "20,000 made of hosts, dots, slashes, escapes, placeholders, other scripts, and anything at all",
  holds: "requested only from configured mirrors, below their paths, in a query that names at most one image",
}, async () => {
  let repairs = 0;
  await fc.assert(
    fc.asyncProperty(images, async (image) => {
      const planned = planImage(image, { registries, exclusions, canAliasDigest: true, redirected: new Set() });
      if (isRefusal(planned)) return;
      const runtime = new MemoryRuntime();
      const { signal } = new AbortController();
      await repair(planned, { runtime, mirrors: openMirrors(), veto: () => undefined, observer: {}, signal });
      for (const pulled of runtime.calls.filter((call) => call.startsWith("pull ")).map((call) => call.slice(5))) {
        repairs++;
        assertBelowItsMirror(pulled);
      }
    }),
    { numRuns: 20_000 },
  );
  assert(repairs > 500, `only ${repairs} of the names were asked for at all`);
});

function assertBelowItsMirror(pulled: string): void {
  assert(PLACES.some((place) => pulled.startsWith(place)), pulled);
  const { domain, path } = parseReference(pulled);
  assertEquals(["mirror.example", "second.example:5000", "harbor.example"].includes(domain), true, pulled);
  assertEquals(path.split("/").filter((element) => /^\.*$/.test(element)), [], pulled);
  // Docker must parse the query as it was meant.
  const query = pullQuery("pull", pulled);
  const again = new URLSearchParams(query.toString());
  assertEquals([...again.keys()], ["fromImage", "tag"]);
  assertEquals(again.get("fromImage"), `${domain}/${path}`);
}
