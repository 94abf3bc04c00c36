// Repairs as the plan makes them, for tests of the modules that use them.

import { compileExclusions } from "../../lib/images/exclusions.ts";
import { compileRules } from "../../lib/images/rules.ts";
import { isRefusal, planImage, type Repair } from "../../lib/plan/plan.ts";

/** Returns the repair of a gcr.io image with these mirrors, for which no pod waits. */
export function repairOf(image: string, mirrors: readonly string[] = ["m.example"]): Repair {
  const planned = planImage(image, {
    registries: compileRules([{ origin: "gcr.io", mirrors }]),
    exclusions: compileExclusions({ images: [], namespaces: [] }),
    canAliasDigest: undefined,
    redirected: new Set(),
  });
  if (isRefusal(planned)) throw new Error(planned.advice);
  return { ...planned, failures: [] };
}
