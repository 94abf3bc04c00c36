// Checks the environment for proxies, which Gilly ignores.

import type { RuntimeAdvice } from "../runtime/advice.ts";
import type { Check } from "./context.ts";
import { type Finding, warn } from "./finding.ts";

/** Checks the environment for proxies. */
export const proxiesCheck: Check = ({ node, proxies }) => Promise.resolve(checkProxies(proxies, node.runtime.advice));

/** Warns about environment variables that name a proxy, which Gilly ignores. */
export function checkProxies(variables: readonly string[], { called, proxyRemedy }: RuntimeAdvice): Finding[] {
  if (variables.length === 0) return [];
  const message = `${variables.join(", ")} ${variables.length === 1 ? "names" : "name"} a proxy; ` +
    `Gilly does not use it: the kubelet and ${called} are contacted directly`;
  return [warn("proxy", message, `if the mirrors are behind it, ${proxyRemedy}`)];
}
