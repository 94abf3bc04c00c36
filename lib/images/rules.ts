// The rules of `registries:`: which mirror stands in for which registry, and the names to try there, in order.
// Pure: rules and a reference in, candidates out. It asks no mirror and keeps no memory.

import { quote } from "../support/text.ts";
import {
  canonicalHost,
  formatLocation,
  isBelow,
  isWithin,
  type Location,
  mistakeInLocation,
  parseLocation,
  withoutPort,
} from "./location.ts";
import { formatReference, referenceOrUndefined, repositoryOf } from "./reference.ts";
import type { Reference } from "./reference.ts";

/** One line of `registries:`. */
export interface RegistryRule {
  /** `host[:port]`, `host[:port]/path/prefix`, `*.host[/path/prefix]` or `*`. */
  readonly origin: string;
  /** `host[:port][/path]`, to be tried in this order; `{registry}` in the path is the host the image came from. */
  readonly mirrors: readonly string[];
  /** Line of the config file, from 1, when the rule came from one. */
  readonly line?: number | undefined;
}

/** One name under which a mirror may have the image. */
export interface Candidate {
  /** The mirror's host, as a location has it: the key under which its health and its credentials are kept. */
  readonly mirror: string;
  /** `host[:port]/path`. */
  readonly repository: string;
  /** The repository with `@digest` if the image has one, or else with `:tag`. */
  readonly reference: string;
}

/** Compiled rules. */
export interface RegistryMap {
  /** As they were given. */
  readonly rules: readonly RegistryRule[];
  /** By precedence: the first that matches is the rule of an image. */
  readonly origins: readonly Origin[];
  readonly mirrors: readonly MirrorLocation[];
}

/** Where a rule applies: the host is `.host` for any host that ends so, and empty for every host. */
export interface Origin extends Location {
  readonly rule: RegistryRule;
  readonly kind: "host" | "suffix" | "every";
}

/** Where a mirror of a rule keeps its images: the path ends before the first element that is not the same for all. */
export interface MirrorLocation extends Location {
  readonly rule: RegistryRule;
}

/**
 * What the rules say of an image. `candidates` can be empty: a name that grew too long, or that no registry could have,
 * is left out. `mirrorOf` is a rule that has the image's registry as a mirror, so that the image stays as it is.
 */
export type RuleMatch =
  | { readonly rule: RegistryRule; readonly candidates: readonly Candidate[] }
  | { readonly rule: undefined; readonly because: "no-rule" }
  | { readonly rule: undefined; readonly because: "is-mirror"; readonly mirrorOf: RegistryRule };

/** What stands in a mirror's path for the host that the image came from, without its port. */
export const PLACEHOLDER = "{registry}";

/**
 * Makes rules ready for matching. A rule that stands for the same origin as an earlier one never matches. Throws
 * TypeError if an origin or a mirror is malformed: the config has refused those already, in its own words.
 */
export function compileRules(rules: readonly RegistryRule[]): RegistryMap {
  for (const { origin, mirrors } of rules) {
    refuseMistake("origin", origin, mistakeInOrigin(origin));
    for (const mirror of mirrors) refuseMistake("mirror", mirror, mistakeInMirror(mirror));
  }
  const origins = rules.map(compileOrigin).sort(byPrecedence);
  const mirrors = rules.flatMap((rule) => rule.mirrors.map((mirror) => fixedLocation(rule, mirror)));
  return { rules, origins, mirrors };
}

/**
 * Finds the rule of an image and the names to try.
 *
 * A rule matches an image of its host whose path begins with the elements of its prefix and goes on after them; what
 * goes on is appended to the mirror. An exact host comes before a wildcard, a longer wildcard before a shorter one, `*`
 * last; then the longest prefix. Hosts compare without regard to case, a port is part of the host, and
 * `index.docker.io` is `docker.io`. `*.pkg.dev` is every host below pkg.dev, however deep, but not pkg.dev.
 *
 * A mirror of any rule is never itself rewritten: no rule applies to an image that lies under a mirror, and no wildcard
 * to any image on the host of a mirror. Elsewhere on that host a rule that names the host applies, so that with
 * `k8s.gcr.io: quay.io/k8s` a rule for quay.io still serves the rest of quay.io. So no candidate is the image itself.
 */
export function matchRule(map: RegistryMap, reference: Reference): RuleMatch {
  const { path } = reference;
  const host = canonicalHost(reference.domain);
  const origin = map.origins.find((origin) => servesHost(origin, host) && isBelow(path, origin.path));
  const mirror = map.mirrors.find((location) =>
    location.host === host && (origin?.kind !== "host" || isWithin(path, location.path))
  );
  if (mirror !== undefined) return { rule: undefined, because: "is-mirror", mirrorOf: mirror.rule };
  if (origin === undefined) return { rule: undefined, because: "no-rule" };
  const rest = origin.path === "" ? path : path.slice(origin.path.length + 1);
  return { rule: origin.rule, candidates: candidatesOf(origin.rule, reference, host, rest) };
}

/** Where a mirror keeps what comes from a registry: `{registry}` is filled in, and stays when the host is not known. */
export function locationAt(mirror: string, registry: string | undefined): Location {
  const { host, path } = parseLocation(mirror);
  return { host, path: registry === undefined ? path : path.replaceAll(PLACEHOLDER, withoutPort(registry)) };
}

/** What is wrong with an origin, as one sentence that says what to write instead; undefined when it is fine. */
export function mistakeInOrigin(text: string): string | undefined {
  if (text === "*") return undefined;
  if (text.includes("{") || text.includes("}")) return `${PLACEHOLDER} belongs in a mirror, not in an origin`;
  const { host, path } = parseLocation(text);
  if (host === "*") return "* stands for every registry and takes no path; name the host, as in quay.io/path";
  if (!host.startsWith("*.")) {
    if (text.includes("*")) return "* can only be the whole origin or its first label, as in *.pkg.dev";
    return mistakeInLocation(text, "quay.io, registry.example:5000 or gcr.io/path");
  }
  const suffix = host.slice(2);
  if (suffix.includes("*") || path.includes("*")) {
    return "* can stand only once, at the front, as in *.pkg.dev";
  }
  // A suffix may be a bare label (*.internal): the host that it matches has a dot in any case.
  return mistakeInLocation(`host.${text.slice(2)}`, "*.pkg.dev or *.pkg.dev/path");
}

/** What is wrong with a mirror, as one sentence that says what to write instead; undefined when it is fine. */
export function mistakeInMirror(text: string): string | undefined {
  const example = "mirror.example, mirror.example:5000 or mirror.example/path";
  if (text.includes("*")) return "a mirror is one registry: * can stand only in an origin";
  if (parseLocation(text).host.includes(PLACEHOLDER)) {
    return `${PLACEHOLDER} can stand only in the path, as in mirror.example/${PLACEHOLDER}`;
  }
  const filled = text.replaceAll(PLACEHOLDER, "quay.io");
  if (/[{}]/.test(filled)) return `the only placeholder is ${PLACEHOLDER}`;
  return mistakeInLocation(filled, example);
}

function compileOrigin(rule: RegistryRule): Origin {
  const { host, path } = parseLocation(rule.origin);
  if (host === "*") return { rule, host: "", kind: "every", path };
  if (host.startsWith("*.")) return { rule, host: host.slice(1), kind: "suffix", path };
  return { rule, host, kind: "host", path };
}

function fixedLocation(rule: RegistryRule, mirror: string): MirrorLocation {
  const { host, path } = parseLocation(mirror);
  const elements = path.split("/");
  const firstOpen = elements.findIndex((element) => element.includes(PLACEHOLDER));
  return { rule, host, path: firstOpen < 0 ? path : elements.slice(0, firstOpen).join("/") };
}

function byPrecedence(left: Origin, right: Origin): number {
  const rank = { host: 0, suffix: 1, every: 2 };
  return rank[left.kind] - rank[right.kind] || right.host.length - left.host.length ||
    right.path.length - left.path.length;
}

function servesHost(origin: Origin, host: string): boolean {
  switch (origin.kind) {
    case "host":
      return host === origin.host;
    case "suffix":
      return host.endsWith(origin.host);
    case "every":
      return true;
  }
}

function candidatesOf(rule: RegistryRule, image: Reference, host: string, rest: string): readonly Candidate[] {
  const suffix = image.digest === undefined ? `:${image.tag}` : `@${image.digest}`;
  // The one odd name without a host (see Reference) leaves the placeholder, and so no reference.
  const registry = host === "" ? undefined : host;
  const candidates = new Map<string, Candidate>();
  for (const mirror of rule.mirrors) {
    const location = formatLocation(locationAt(mirror, registry));
    const found = referenceOrUndefined(`${location}/${rest}${suffix}`);
    if (found === undefined) continue;
    const reference = formatReference(found);
    candidates.set(reference, { mirror: found.domain, repository: repositoryOf(found), reference });
  }
  return [...candidates.values()];
}

function refuseMistake(what: string, text: string, mistake: string | undefined): void {
  if (mistake !== undefined) throw new TypeError(`${what} ${quote(text)}: ${mistake}`);
}
