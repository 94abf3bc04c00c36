// Checks whether the images of the `keep` list are present, or at least available at a mirror.

import { isRefusal, planImage, type Refusal, type Target } from "../../plan/plan.ts";
import { type Check, type CheckContext, runtimeFailure } from "../context.ts";
import { fail, type Finding, ok, warn } from "../finding.ts";
import { credentialsFor } from "../mirrors.ts";

/** Checks the images of the `keep` list. */
export const keptCheck: Check = async (context) => {
  const { node } = context;
  const [canAliasDigest, redirected] = await Promise.all([context.canAliasDigest(), node.redirectedHosts()]);
  if (canAliasDigest === undefined) return [];
  return await Promise.all(node.config.keep.map(async (image) => {
    const planned = planImage(image, { ...node, canAliasDigest, redirected });
    const kept = isRefusal(planned) ? { state: "refused" as const, refusal: planned } : await howKept(planned, context);
    return checkKept(image, kept);
  }));
};

/**
 * The state of an image of the `keep` list: `absent` if a mirror has it, `lost` if every mirror
 * answers that it has no such image, `unanswered` if a mirror did not answer, `unknown` if the
 * runtime could not inspect it, and `refused` if the plan refuses it.
 */
export type Kept =
  | { readonly state: "present" }
  | { readonly state: "absent"; readonly mirror: string }
  | { readonly state: "lost"; readonly because: string }
  | { readonly state: "unanswered"; readonly because: string }
  | { readonly state: "unknown"; readonly because: string }
  | { readonly state: "refused"; readonly refusal: Refusal };

/** Returns the finding for one image that is to be kept present. */
export function checkKept(image: string, kept: Kept): Finding {
  const name = `keep ${image}`;
  switch (kept.state) {
    case "present":
      return ok(name, "present");
    case "absent":
      return warn(name, `not here yet; ${kept.mirror} has it`, `the daemon pulls it, or: gilly pull ${image}`);
    case "lost":
      return fail(name, `not here, and no mirror has it: ${kept.because}`, "push it to a mirror");
    case "unanswered":
      return fail(name, `not here, and no mirror that answers has it: ${kept.because}`, "see the mirrors above");
    case "unknown":
      return fail(name, `cannot be inspected: ${kept.because}`, "see the runtime above");
    case "refused":
      return fail(name, `cannot be kept: ${kept.refusal.reason}`, kept.refusal.advice);
  }
}

async function howKept(target: Target, { node, resolve, signal }: CheckContext): Promise<Kept> {
  const { config, runtime } = node;
  const tried: string[] = [];
  let state: "lost" | "unanswered" = "lost";
  try {
    if (await runtime.inspect(target.name, signal) !== undefined) return { state: "present" };
  } catch (error) {
    return { state: "unknown", because: runtimeFailure(error, signal).text };
  }
  for (const { mirror, reference } of target.candidates) {
    try {
      const { auth } = await credentialsFor(config, mirror, reference);
      if (await resolve(reference, { signal, auth }) !== undefined) return { state: "absent", mirror };
      tried.push(`${mirror} has no ${reference}`);
    } catch (error) {
      state = "unanswered";
      tried.push(runtimeFailure(error, signal).text);
    }
  }
  return { state, because: tried.join("; ") };
}
