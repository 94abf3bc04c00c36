// The rules of `registries:`: which mirror stands in for which registry, and the names to try there, in order.
// A thinker: rules and a reference in, candidates out. It asks no mirror and keeps no memory.

import { formatReference, isDomain, referenceOrUndefined, repositoryOf } from "./reference.ts";
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
  /** The mirror's `host[:port]`, in lower case: the key under which its health and its credentials are kept. */
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
  readonly mirrors: readonly Place[];
}

/** Where a rule applies. */
interface Origin {
  readonly rule: RegistryRule;
  /** In lower case: a host, `.host` for any host that ends so, or the empty text for every host. */
  readonly host: string;
  readonly kind: "host" | "suffix" | "every";
  readonly prefix: readonly string[];
}

/** Where a mirror keeps its images: a host and the fixed beginning of its path. */
interface Place {
  readonly rule: RegistryRule;
  readonly host: string;
  readonly prefix: readonly string[];
}

/**
 * What the rules say of an image. `candidates` can be empty: a name that grew too long, or that no registry could have,
 * is left out. `mirrorOf` is a rule that has the image's registry as a mirror, so that the image stays as it is.
 */
export type RuleMatch =
  | { readonly rule: RegistryRule; readonly candidates: readonly Candidate[] }
  | { readonly rule: undefined; readonly because: "no-rule" }
  | { readonly rule: undefined; readonly because: "is-mirror"; readonly mirrorOf: RegistryRule };

const PLACEHOLDER = "{registry}";

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
  const mirrors = rules.flatMap((rule) => rule.mirrors.map((mirror) => placeOf(rule, mirror)));
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
  const host = hostKey(reference.domain);
  const path = reference.path.split("/");
  const origin = map.origins.find((origin) => servesHost(origin, host) && isBelow(path, origin.prefix));
  const spared = map.mirrors.find((mirror) =>
    mirror.host === host && (origin?.kind !== "host" || isWithin(path, mirror.prefix))
  );
  if (spared !== undefined) return { rule: undefined, because: "is-mirror", mirrorOf: spared.rule };
  if (origin === undefined) return { rule: undefined, because: "no-rule" };
  const rest = path.slice(origin.prefix.length).join("/");
  return { rule: origin.rule, candidates: candidatesOf(origin.rule, reference, host, rest) };
}

/** What is wrong with an origin, as one sentence that says what to write instead; undefined when it is fine. */
export function mistakeInOrigin(text: string): string | undefined {
  if (text === "*") return undefined;
  if (text.includes("{") || text.includes("}")) return `${PLACEHOLDER} belongs in a mirror, not in an origin`;
  const [host, path] = splitPlace(text);
  if (host === "*") return "* stands for every registry and takes no path; name the host, as in quay.io/path";
  if (!host.startsWith("*.")) {
    if (text.includes("*")) return "* can only be the whole origin or its first label, as in *.pkg.dev";
    return mistakeInPlace(text, "quay.io, registry.example:5000 or gcr.io/path");
  }
  const suffix = host.slice(2);
  if (suffix.includes("*") || path?.includes("*")) return "* can stand only once, at the front, as in *.pkg.dev";
  // A suffix may be a bare label (*.internal): the host that it matches has a dot in any case.
  return mistakeInPlace(`host.${text.slice(2)}`, "*.pkg.dev or *.pkg.dev/path");
}

/** What is wrong with a mirror, as one sentence that says what to write instead; undefined when it is fine. */
export function mistakeInMirror(text: string): string | undefined {
  const example = "mirror.example, mirror.example:5000 or mirror.example/path";
  if (text.includes("*")) return "a mirror is one registry: * can stand only in an origin";
  const [host] = splitPlace(text);
  if (host.includes(PLACEHOLDER)) {
    return `${PLACEHOLDER} can stand only in the path, as in mirror.example/${PLACEHOLDER}`;
  }
  const filled = text.replaceAll(PLACEHOLDER, "quay.io");
  if (/[{}]/.test(filled)) return `the only placeholder is ${PLACEHOLDER}`;
  return mistakeInPlace(filled, example);
}

/** One spelling for all origins that mean the same: lower-case host, docker.io for index.docker.io. */
export function canonicalOrigin(text: string): string {
  const [host, path] = splitPlace(text);
  return path === undefined ? hostKey(host) : `${hostKey(host)}/${path}`;
}

function compileOrigin(rule: RegistryRule): Origin {
  const [host, path] = splitPlace(canonicalOrigin(rule.origin));
  const prefix = path?.split("/") ?? [];
  if (host === "*") return { rule, host: "", kind: "every", prefix };
  if (host.startsWith("*.")) return { rule, host: host.slice(1), kind: "suffix", prefix };
  return { rule, host, kind: "host", prefix };
}

function placeOf(rule: RegistryRule, mirror: string): Place {
  const [host, path] = splitPlace(canonicalOrigin(mirror));
  const elements = path?.split("/") ?? [];
  const firstOpen = elements.findIndex((element) => element.includes(PLACEHOLDER));
  return { rule, host, prefix: firstOpen < 0 ? elements : elements.slice(0, firstOpen) };
}

function byPrecedence(left: Origin, right: Origin): number {
  const rank = { host: 0, suffix: 1, every: 2 };
  return rank[left.kind] - rank[right.kind] || right.host.length - left.host.length ||
    right.prefix.length - left.prefix.length;
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

function isWithin(path: readonly string[], prefix: readonly string[]): boolean {
  return prefix.every((element, index) => path[index] === element);
}

function isBelow(path: readonly string[], prefix: readonly string[]): boolean {
  return path.length > prefix.length && isWithin(path, prefix);
}

function candidatesOf(rule: RegistryRule, image: Reference, host: string, rest: string): readonly Candidate[] {
  const registry = host.replace(/:[0-9]+$/, "");
  const suffix = image.digest === undefined ? `:${image.tag}` : `@${image.digest}`;
  const candidates = new Map<string, Candidate>();
  for (const mirror of rule.mirrors) {
    const place = canonicalOrigin(mirror).replaceAll(PLACEHOLDER, registry);
    const found = referenceOrUndefined(`${place}/${rest}${suffix}`);
    if (found === undefined) continue;
    const reference = formatReference(found);
    candidates.set(reference, { mirror: found.domain, repository: repositoryOf(found), reference });
  }
  return [...candidates.values()];
}

function mistakeInPlace(text: string, examples: string): string | undefined {
  const expected = `expected a registry, such as ${examples}`;
  if (text.trim() === "") return expected;
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.exec(text)?.[0];
  if (scheme !== undefined) return `leave out ${scheme}: ${expected}`;
  if (/\s/.test(text)) return `leave out the white space: ${expected}`;
  if (text.includes("@")) return `leave out the part with @: ${expected}`;
  if (text.endsWith("/")) return `leave out the slash at the end: ${expected}`;
  const [host, path] = splitPlace(text);
  return mistakeInHost(host, expected) ?? (path === undefined ? undefined : mistakeInPath(host, path, expected));
}

function mistakeInHost(host: string, expected: string): string | undefined {
  const port = /:([^\]:]*)$/.exec(host)?.[1];
  if (port !== undefined && !(/^[0-9]{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535)) {
    return `a port is a number from 1 to 65535: ${expected}`;
  }
  if (!isDomain(host)) return `the host is malformed: ${expected}`;
  if (host.toLowerCase() === "localhost" || /[.:]/.test(host)) return undefined;
  return "the host needs a dot or a port, or to be localhost; without them a name is a path on docker.io, " +
    `as in docker.io/${host.toLowerCase()}`;
}

function mistakeInPath(host: string, path: string, expected: string): string | undefined {
  if (path.includes(":")) return `leave out the tag: ${expected}`;
  if (path.toLowerCase() !== path) return `the path must be lower-case: ${expected}`;
  // An element more, because that is how a place is used; it also asks for one character less than the longest path.
  return referenceOrUndefined(`${host}/${path}/x`) === undefined ? `the path is malformed: ${expected}` : undefined;
}

function splitPlace(text: string): readonly [string, string | undefined] {
  const slash = text.indexOf("/");
  return slash < 0 ? [text, undefined] : [text.slice(0, slash), text.slice(slash + 1)];
}

function hostKey(host: string): string {
  const lower = host.toLowerCase();
  return lower === "index.docker.io" ? "docker.io" : lower;
}

function refuseMistake(what: string, text: string, mistake: string | undefined): void {
  if (mistake !== undefined) throw new TypeError(`${what} ${JSON.stringify(text)}: ${mistake}`);
}
