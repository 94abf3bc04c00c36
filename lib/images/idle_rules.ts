// Rules that serve no image, whatever the pods ask for: the config is valid, and what its author meant
// does not happen. Pure.

import { formatLocation, isWithin } from "./location.ts";
import type { Origin, RegistryMap, RegistryRule } from "./rules.ts";

/** A rule that serves no image. */
export interface IdleRule {
  readonly rule: RegistryRule;
  /** Why, worded to follow the rule. */
  readonly because: string;
  /** What to write instead. */
  readonly remedy: string;
}

/** Hosts that people take for the name of a registry, and the one that names of images have. */
const NAMED_OTHERWISE: ReadonlyMap<string, string> = new Map([
  ["registry-1.docker.io", "docker.io"],
  ["hub.docker.com", "docker.io"],
  ["auth.docker.io", "docker.io"],
]);

/** Returns the rules that serve no image, in the order of the config. */
export function idleRules(map: RegistryMap): IdleRule[] {
  const idle = map.origins.flatMap((origin) => whyIdle(origin, map) ?? []);
  return idle.toSorted((left, right) => map.rules.indexOf(left.rule) - map.rules.indexOf(right.rule));
}

function whyIdle(origin: Origin, { mirrors, origins }: RegistryMap): IdleRule | undefined {
  // A wildcard has other hosts, too.
  if (origin.kind !== "host") return undefined;
  const { rule, host, path } = origin;
  const mirror = mirrors.find((it) => it.host === host && isWithin(path, it.path));
  if (mirror !== undefined) {
    const where = formatLocation(mirror);
    const owner = mirror.rule === rule ? "of its own" : `of the rule for ${mirror.rule.origin}`;
    return {
      rule,
      because: `${where} is a mirror ${owner}, and what a mirror has is never pulled through another`,
      remedy: mirror.rule !== rule
        ? `remove this rule, or write another mirror for ${mirror.rule.origin}`
        : rule.mirrors.length > 1
        ? `remove ${where} from its mirrors: the kubelet asks it already`
        : `write the mirror that has these images in place of ${where}`,
    };
  }
  const name = NAMED_OTHERWISE.get(host);
  // With a rule for the right name, this one is for images that are indeed named so.
  if (name === undefined || origins.some((it) => it.host === name)) return undefined;
  return {
    rule,
    because: `images are named ${name}, whatever server has them`,
    remedy: `write ${name} in place of ${host}`,
  };
}
