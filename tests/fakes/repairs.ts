// Repairs as the plan makes them, for tests of what becomes of one.

import { compileExclusions } from "../../lib/images/exclusions.ts";
import { compileRules } from "../../lib/images/rules.ts";
import { isRefusal, planImage, type Repair } from "../../lib/plan/plan.ts";

/** The repair of an image of gcr.io that these mirrors may have, and that no pod waits for. */
export function repairOf(image: string, mirrors: readonly string[] = ["m.example"]): Repair {
  const planned = planImage(image, {
    registries: compileRules([{ origin: "gcr.io", mirrors }]),
    exclusions: compileExclusions({ images: [], namespaces: [] }),
    canAliasDigest: undefined,
  });
  if (isRefusal(planned)) throw new Error(planned.advice);
  return { ...planned, failures: [] };
}
