// What the operator excluded: patterns of images and of namespaces. Pure: reports which pattern
// matched, not why or what to do then.

import { quote } from "../support/text.ts";
import { canonicalHost } from "./location.ts";
import { InvalidReferenceError, parseReference, repositoryOf } from "./reference.ts";
import type { Reference } from "./reference.ts";

/** The patterns of `exclude:`, as written. */
export interface ExclusionPatterns {
  readonly images: readonly string[];
  readonly namespaces: readonly string[];
}

/**
 * Compiled patterns. Both methods return the first pattern that matches, as written, or undefined.
 */
export interface Exclusions {
  image(reference: Reference): string | undefined;
  namespace(name: string): string | undefined;
}

/**
 * Compiles patterns for matching. A match takes time proportional to the length of the name. Throws
 * TypeError if a pattern is malformed; the config has already refused those, in its own words.
 *
 * A pattern of images is compared with the complete normalized name, `domain/path`, and with the
 * tag. `*` stands for any run of characters except `/`, `**` for any run at all. A pattern is
 * completed as a reference is: `nginx` is `docker.io/library/nginx`, `bitnami/redis` is
 * `docker.io/bitnami/redis`. It differs in four ways:
 *
 * - without a tag it matches every tag, and images with a digest; a tag never matches an image that
 *   has only a digest, but `:*` does;
 * - a host alone (`quay.io`, `localhost:5000`, `*.example`) or a path that ends in `/` matches
 *   everything below;
 * - a first part that begins with `*` is a host, and one that begins with `**` is a host and as
 *   much of the path as fits;
 * - `*` alone matches every image, and `*:debug` every image with that tag.
 *
 * Hosts compare without regard to case. A namespace matches exactly, or with `*` for any run of
 * characters.
 */
export function compileExclusions(patterns: ExclusionPatterns): Exclusions {
  const images = patterns.images.map((text) => ({ text, matches: compileImagePattern(text) }));
  const namespaces = patterns.namespaces.map((text) => ({ text, matches: compileNamespacePattern(text) }));
  return {
    image: (reference) => images.find(({ matches }) => matches(reference))?.text,
    namespace: (name) => namespaces.find(({ matches }) => matches(name))?.text,
  };
}

/** Returns what is wrong with a pattern of images, as one sentence, or undefined if it is valid. */
export function mistakeInImagePattern(text: string): string | undefined {
  if (text === "") return "expected a pattern such as quay.io, gcr.io/team/** or nginx:1.*";
  if (text.includes("@")) return "leave out the digest: a pattern is a name, and a tag where one matters";
  if (/\*{3}/.test(text)) return "expected * (anything but /) or ** (anything)";
  if (/[?{}]/.test(text)) return "the only wildcards are * (anything but /) and ** (anything)";
  const { repository, tag } = complete(text);
  try {
    // A name that the pattern would match. If it is not a valid reference, no image can ever match.
    parseReference((tag === undefined ? repository : `${repository}:${tag}`).replaceAll(/\*+/g, "1"));
    return undefined;
  } catch (error) {
    if (error instanceof InvalidReferenceError) return `no image can match this: ${error.sentence}`;
    throw error;
  }
}

/**
 * Returns what is wrong with a pattern of namespaces, as one sentence, or undefined if it is valid.
 */
export function mistakeInNamespacePattern(text: string): string | undefined {
  // A namespace is a DNS label (RFC 1123).
  if (text.length <= 63 && /^[a-z0-9*](?:[a-z0-9*-]*[a-z0-9*])?$/.test(text)) return undefined;
  return "expected a namespace, at most 63 lower-case letters, digits and -, with * for any run of them";
}

function compileImagePattern(text: string): (reference: Reference) => boolean {
  refuseMistake("image pattern", text, mistakeInImagePattern(text));
  const { repository, tag } = complete(text);
  const matchesRepository = compileGlob(repository);
  const matchesTag = tag === undefined ? () => true : compileGlob(tag);
  return (reference) => matchesRepository(repositoryOf(reference).toLowerCase()) && matchesTag(reference.tag ?? "");
}

function compileNamespacePattern(text: string): (name: string) => boolean {
  refuseMistake("namespace pattern", text, mistakeInNamespacePattern(text));
  return compileGlob(text);
}

interface FullPattern {
  /** A pattern of `domain/path`. */
  readonly repository: string;
  /** Undefined matches every tag, and none. */
  readonly tag: string | undefined;
}

// The part before the port must contain a dot or brackets, or be localhost, so that `nginx:5000` is
// an image with a tag.
const HOST_ALONE = /^(?:localhost|\[[^\]]*\]|[^:/]*\.[^:/]*)(?::[0-9]+)?$/;

function complete(text: string): FullPattern {
  if (HOST_ALONE.test(text)) return { repository: `${canonicalHost(text)}/**`, tag: undefined };
  const colon = text.indexOf(":", text.lastIndexOf("/") + 1);
  const name = colon < 0 ? text : text.slice(0, colon);
  const tag = colon < 0 ? undefined : text.slice(colon + 1);
  if (name === "*") return { repository: "**", tag };
  return { repository: completeName(name.endsWith("/") ? `${name}**` : name), tag };
}

function completeName(name: string): string {
  if (name.startsWith("**")) return name;
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const isHost = first === "localhost" || /^\*|[.:]/.test(first);
  const host = isHost ? canonicalHost(first) : "docker.io";
  const path = isHost ? name.slice(slash + 1) : name;
  const isOfficial = host === "docker.io" && !path.includes("/") && path !== "**";
  return isOfficial ? `${host}/library/${path}` : `${host}/${path}`;
}

/**
 * Compiles `*` and `**` into a matcher that follows all ways to read the text at the same time: it
 * reads each character once, however many wildcards there are.
 */
function compileGlob(pattern: string): (text: string) => boolean {
  const tokens = pattern.match(/\*\*|[^]/g) ?? [];
  const isWildcard = (at: number) => tokens[at] === "*" || tokens[at] === "**";
  const reach = (states: Set<number>, at: number) => {
    states.add(at);
    while (isWildcard(at)) states.add(++at);
  };
  return (text) => {
    let states = new Set<number>();
    reach(states, 0);
    for (const character of text.split("")) {
      const next = new Set<number>();
      for (const at of states) {
        if (isWildcard(at)) {
          if (tokens[at] === "**" || character !== "/") reach(next, at);
        } else if (tokens[at] === character) {
          reach(next, at + 1);
        }
      }
      if (next.size === 0) return false;
      states = next;
    }
    return states.has(tokens.length);
  };
}

function refuseMistake(what: string, text: string, mistake: string | undefined): void {
  if (mistake !== undefined) throw new TypeError(`${what} ${quote(text)}: ${mistake}`);
}
