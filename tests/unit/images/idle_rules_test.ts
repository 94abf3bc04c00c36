import { assertEquals } from "@std/assert";
import { idleRules } from "../../../lib/images/idle_rules.ts";
import { parseReference } from "../../../lib/images/reference.ts";
import { compileRules, matchRule } from "../../../lib/images/rules.ts";

const NEVER = "and what a mirror has is never pulled through another";

/** Rules, and what is said of those that serve nothing: the origin, why, and what to write. */
const CASES: readonly (readonly [Readonly<Record<string, readonly string[]>>, readonly (readonly string[])[]])[] = [
  [{ "gcr.io": ["m.example"], "docker.io": ["m.example/hub"], "*": ["m.example"] }, []],
  [{ "gcr.io": ["gcr.io"] }, [[
    "gcr.io",
    `gcr.io is a mirror of its own, ${NEVER}`,
    "write the mirror that has these images in place of gcr.io",
  ]]],
  [{ "GCR.io": ["m.example", "gcr.io"] }, [[
    "GCR.io",
    `gcr.io is a mirror of its own, ${NEVER}`,
    "remove gcr.io from its mirrors: the kubelet asks it already",
  ]]],
  [{ "index.docker.io": ["docker.io"] }, [[
    "index.docker.io",
    `docker.io is a mirror of its own, ${NEVER}`,
    "write the mirror that has these images in place of docker.io",
  ]]],
  [{ "gcr.io": ["gcr.io/{registry}"] }, [[
    "gcr.io",
    `gcr.io is a mirror of its own, ${NEVER}`,
    "write the mirror that has these images in place of gcr.io",
  ]]],
  [{ "gcr.io/a": ["m.example"], "*": ["gcr.io"] }, [[
    "gcr.io/a",
    `gcr.io is a mirror of the rule for *, ${NEVER}`,
    "remove this rule, or write another mirror for *",
  ]]],
  [{ "quay.io/k8s/core": ["m.example"], "k8s.gcr.io": ["quay.io/k8s"] }, [[
    "quay.io/k8s/core",
    `quay.io/k8s is a mirror of the rule for k8s.gcr.io, ${NEVER}`,
    "remove this rule, or write another mirror for k8s.gcr.io",
  ]]],
  // The rest of the host is served.
  [{ "quay.io": ["m.example"], "k8s.gcr.io": ["quay.io/k8s"] }, []],
  [{ "gcr.io": ["gcr.io/mirror"] }, []],
  [{ "gcr.io": ["gcr.io:443"] }, []],
  [{ "*.gcr.io": ["eu.gcr.io"] }, []],
  [{ "registry-1.docker.io": ["m.example"] }, [[
    "registry-1.docker.io",
    "images are named docker.io, whatever server has them",
    "write docker.io in place of registry-1.docker.io",
  ]]],
  [{ "hub.docker.com/library": ["m.example"] }, [[
    "hub.docker.com/library",
    "images are named docker.io, whatever server has them",
    "write docker.io in place of hub.docker.com",
  ]]],
  [{ "registry-1.docker.io": ["m.example"], "docker.io/library": ["m.example"] }, []],
  [{ "index.docker.io": ["m.example"] }, []],
];

for (const [rules, said] of CASES) {
  Deno.test(`of ${JSON.stringify(rules)} ${said.length === 0 ? "every rule is of use" : `${said[0]![0]} serves nothing`}`, () => {
    const map = compileRules(Object.entries(rules).map(([origin, mirrors]) => ({ origin, mirrors })));
    const idle = idleRules(map);
    assertEquals(idle.map(({ rule, because, remedy }) => [rule.origin, because, remedy]), said.map((it) => [...it]));
    for (const { rule: { origin } } of idle) {
      const match = matchRule(
        map,
        parseReference(`${origin.replace("hub.docker.com", "docker.io")}/x/y:1`.toLowerCase()),
      );
      if (!origin.startsWith("registry-1")) assertEquals(match.rule, undefined);
    }
  });
}
