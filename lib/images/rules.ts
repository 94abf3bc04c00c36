// The rules of `registries:`: which mirrors serve a registry, and the names to try there, in order.
// Pure: rules and a reference in, candidates out. Contacts no mirror and keeps no state.

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
import { formatReference, type Reference, referenceOrUndefined, repositoryOf } from "./reference.ts";

/** One line of `registries:`. */
export interface RegistryRule {
  /** `host[:port]`, `host[:port]/path/prefix`, `*.host[/path/prefix]` or `*`. */
  readonly origin: string;
  /**
   * `host[:port][/path]`, tried in this order; `{registry}` in the path is the host of the image's
   * registry.
   */
  readonly mirrors: readonly string[];
  /** Line in the config file, from 1, if the rule came from one. */
  readonly line?: number | undefined;
}

/** One name under which a mirror may have the image. */
export interface Candidate {
  /** The mirror's host, in the form of a location: the key of its health and its credentials. */
  readonly mirror: string;
  /** The mirror of the rule, with `{registry}` filled in: `host[:port][/path]`. */
  readonly location: string;
  /** `host[:port]/path`, below the location. */
  readonly repository: string;
  /** The repository with `@digest` if the image has one, or else with `:tag`. */
  readonly reference: string;
}

/** The compiled rules. */
export interface RegistryMap {
  /** The rules as given. */
  readonly rules: readonly RegistryRule[];
  /** In order of precedence: the first that matches gives the rule of an image. */
  readonly origins: readonly Origin[];
  readonly mirrors: readonly MirrorLocation[];
}

/**
 * Where a rule applies. The host is `.host` for any host with that suffix, and empty for every
 * host.
 */
export interface Origin extends Location {
  readonly rule: RegistryRule;
  readonly kind: "host" | "suffix" | "every";
}

/**
 * Where a mirror of a rule keeps its images. The path ends before the first element that contains
 * `{registry}`.
 */
export interface MirrorLocation extends Location {
  readonly rule: RegistryRule;
}

/**
 * The result of matching an image. `candidates` may be empty: names that are too long or invalid
 * are left out. `mirrorOf` is a rule that has the image's registry as a mirror, so that the image
 * is not rewritten.
 */
export type RuleMatch =
  | { readonly rule: RegistryRule; readonly candidates: readonly Candidate[] }
  | { readonly rule: undefined; readonly because: "no-rule" }
  | { readonly rule: undefined; readonly because: "is-mirror"; readonly mirrorOf: RegistryRule };

/** Stands in a mirror's path for the host of the image's registry, without its port. */
export const PLACEHOLDER = "{registry}";

/**
 * Compiles rules for matching. A rule with the same origin as an earlier one never matches. Throws
 * TypeError if an origin or a mirror is malformed; the config has already refused those, in its own
 * words.
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

/** Returns the hosts of all mirrors, each once, in the order of the rules. */
export function mirrorHosts({ mirrors }: RegistryMap): readonly string[] {
  return [...new Set(mirrors.map(({ host }) => host))];
}

/**
 * Finds the rule of an image and the names to try.
 *
 * A rule matches an image of its host whose path begins with the elements of the rule's prefix and
 * has more after them; the rest is appended to the mirror. An exact host precedes a wildcard, a
 * longer wildcard precedes a shorter one, and `*` comes last; then the longest prefix wins. Hosts
 * compare without regard to case, a port is part of the host, and `index.docker.io` is `docker.io`.
 * `*.pkg.dev` is every host below pkg.dev, at any depth, but not pkg.dev itself.
 *
 * A mirror of any rule is never rewritten: no rule applies to an image under a mirror, and no
 * wildcard applies to any image on the host of a mirror. Elsewhere on that host, a rule that names
 * the host applies, so that with `k8s.gcr.io: quay.io/k8s` a rule for quay.io still serves the rest
 * of quay.io. Thus no candidate is the image itself.
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

/**
 * Returns where a mirror keeps the images of a registry. Fills in `{registry}`, or leaves it if the
 * registry is undefined.
 */
export function locationAt(mirror: string, registry: string | undefined): Location {
  const { host, path } = parseLocation(mirror);
  return { host, path: registry === undefined ? path : path.replaceAll(PLACEHOLDER, withoutPort(registry)) };
}

/**
 * Returns what is wrong with an origin, as one sentence that says what to write instead, or
 * undefined if it is valid.
 */
export function mistakeInOrigin(text: string): string | undefined {
  if (text === "*") return undefined;
  if (text.includes("{") || text.includes("}")) return `${PLACEHOLDER} belongs in a mirror, not in an origin`;
  const { host, path } = parseLocation(text);
  if (host === "*") return "* stands for every registry and takes no path; name the host, as in quay.io/path";
  if (!host.startsWith("*.")) {
    if (text.includes("*")) return "* can only be the entire origin or its first label, as in *.pkg.dev";
    return mistakeInLocation(text, "quay.io, registry.example:5000 or gcr.io/path");
  }
  const suffix = host.slice(2);
  if (suffix.includes("*") || path.includes("*")) {
    return "* can appear only once, at the front, as in *.pkg.dev";
  }
  // A suffix may be a single label (*.internal): a host that matches it always contains a dot.
  return mistakeInLocation(`host.${text.slice(2)}`, "*.pkg.dev or *.pkg.dev/path");
}

/**
 * Returns what is wrong with a mirror, as one sentence that says what to write instead, or
 * undefined if it is valid.
 */
export function mistakeInMirror(text: string): string | undefined {
  const example = "mirror.example, mirror.example:5000 or mirror.example/path";
  if (text.includes("*")) return "a mirror is one registry: * can appear only in an origin";
  if (parseLocation(text).host.includes(PLACEHOLDER)) {
    return `${PLACEHOLDER} can appear only in the path, as in mirror.example/${PLACEHOLDER}`;
  }
  const filled = text.replaceAll(PLACEHOLDER, "quay.io");
  if (/[{}]/.test(filled)) return `the only placeholder is ${PLACEHOLDER}`;
  return mistakeInLocation(filled, example);
}

/** Reports whether an origin, in the form of a rule, has images of this host. */
export function originServes(origin: string, host: string): boolean {
  return servesHost(compileOrigin({ origin, mirrors: [] }), host);
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
  // The one kind of name without a host (see Reference) keeps the placeholder, which makes the
  // reference invalid.
  const registry = host === "" ? undefined : host;
  const candidates = new Map<string, Candidate>();
  for (const mirror of rule.mirrors) {
    const location = formatLocation(locationAt(mirror, registry));
    const found = referenceOrUndefined(`${location}/${rest}${suffix}`);
    if (found === undefined) continue;
    const reference = formatReference(found);
    candidates.set(reference, { mirror: found.domain, location, repository: repositoryOf(found), reference });
  }
  return [...candidates.values()];
}

function refuseMistake(what: string, text: string, mistake: string | undefined): void {
  if (mistake !== undefined) throw new TypeError(`${what} ${quote(text)}: ${mistake}`);
}
