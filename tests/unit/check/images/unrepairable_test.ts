// Tests lib/check/images/unrepairable.ts: which containers count.

import { assertEquals } from "@std/assert";
import { checkUnrepairable } from "../../../../lib/check/images/unrepairable.ts";
import { compileExclusions } from "../../../../lib/images/exclusions.ts";
import { compileRules } from "../../../../lib/images/rules.ts";
import { readPodList } from "../../../../lib/kubelet/pods.ts";

Deno.test("an unrepairable container counts only if a rule applies and the pod may still start", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const pod = (name: string, image: string, more: object = {}) => (
    { metadata: { name, ...more }, spec: { containers: [{ name: "app", image }] } }
  );
  const { pods } = readPodList({
    items: [
      pod("always", "gcr.io/a/b"),
      pod("digest", `gcr.io/a/b@${digest}`),
      pod("elsewhere", "ghcr.io/a/b"),
      pod("gone", "gcr.io/a/b", { deletionTimestamp: "2026-11-01T00:00:00Z" }),
      pod("opted-out", "gcr.io/a/b", { annotations: { "gilly.io/repair": "false" } }),
    ],
  });
  const registries = compileRules([{ origin: "gcr.io", mirrors: ["mirror.example"] }]);
  const exclusions = compileExclusions({ images: [], namespaces: [] });
  const context = { registries, exclusions, canAliasDigest: false, redirected: new Set<string>() };
  const [always, digests] = checkUnrepairable(pods, context);
  assertEquals([always!.verdict, always!.message.split(": ").at(-1)], ["warn", "default/always"]);
  assertEquals([digests!.verdict, digests!.message.split(": ").at(-1)], ["warn", "default/digest"]);
  const redirected = new Set(["gcr.io"]);
  const served = checkUnrepairable(pods, { ...context, redirected });
  assertEquals(served.map(({ verdict, message }) => [verdict, message.split("; ").at(-1)]), [
    ["ok", "the registry proxy serves 1 container: default/always"],
    ["ok", "the registry proxy serves 1 container: default/digest"],
  ]);
  const [, onContainerd] = checkUnrepairable(pods, { ...context, canAliasDigest: true });
  assertEquals(onContainerd!.verdict, "ok");
  assertEquals(checkUnrepairable(pods, { ...context, canAliasDigest: undefined }).length, 1);
});
