// Pulls that the registry proxy served, for tests of what is told of them.

import { compileExclusions } from "../../lib/images/exclusions.ts";
import { compileRules } from "../../lib/images/rules.ts";
import { isRefusal, planImage } from "../../lib/plan/plan.ts";
import type { ServedPull } from "../../lib/proxy/observer.ts";

/** Returns a pull of this image from this mirror. */
export function servedPull(image: string, mirror: string, changes: Partial<ServedPull> = {}): ServedPull {
  const registries = compileRules([{ origin: "*", mirrors: [mirror] }]);
  const exclusions = compileExclusions({ images: [], namespaces: [] });
  const target = planImage(image, { registries, exclusions, canAliasDigest: undefined, redirected: new Set() });
  if (isRefusal(target)) throw new Error(`${image}: ${target.advice}`);
  const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
  return { target, candidate: target.candidates[0]!, digest, bytes: 0, resumed: 0, seconds: 1, ...changes };
}
