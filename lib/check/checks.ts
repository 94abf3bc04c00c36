// The checks of a node, in the order in which their findings are reported.

import { describeError } from "../support/errors.ts";
import type { Check, CheckContext } from "./context.ts";
import { fail, type Finding } from "./finding.ts";
import { keptCheck } from "./images/kept.ts";
import { unrepairableCheck } from "./images/unrepairable.ts";
import { waitingCheck } from "./images/waiting.ts";
import { kubeletCheck } from "./kubelet.ts";
import { mirrorsCheck } from "./mirrors.ts";
import { proxiesCheck } from "./proxies.ts";
import { proxyCheck } from "./proxy/check.ts";
import { permanentFixCheck, runtimeCheck } from "./runtime.ts";

/** The checks by name. They run concurrently; one that fails loses only its own findings. */
const NODE_CHECKS: Readonly<Record<string, Check>> = {
  proxies: proxiesCheck,
  kubelet: kubeletCheck,
  runtime: runtimeCheck,
  "waiting pods": waitingCheck,
  "unrepairable pods": unrepairableCheck,
  mirrors: mirrorsCheck,
  "registry proxy": proxyCheck,
  "kept images": keptCheck,
  "permanent fix": permanentFixCheck,
};

/**
 * Checks everything that a repair depends on. It changes nothing: it pulls and tags no image and
 * writes nothing. Throws only the signal's reason.
 */
export async function checkNode(
  context: CheckContext,
  checks: Readonly<Record<string, Check>> = NODE_CHECKS,
): Promise<Finding[]> {
  const found = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      try {
        return await check(context);
      } catch (error) {
        context.signal.throwIfAborted();
        return [fail(name, `this check itself failed: ${describeError(error)}`, "report it, with this line")];
      }
    }),
  );
  return found.flat();
}
