// Where images are kept: `host[:port][/path]`, the form of origins, mirrors and patterns. Pure:
// text in, data out. Independent of rules.

import { isDomain, referenceOrUndefined } from "./reference.ts";

/** A registry, or a path in it. */
export interface Location {
  /**
   * `host[:port]` in lower case, `docker.io` for `index.docker.io`: the key of a mirror's settings.
   */
  readonly host: string;
  /** Without leading or trailing slash; empty for the complete registry. */
  readonly path: string;
}

/**
 * Parses a location. Two spellings of the same location give equal results. Does not detect a
 * malformed one.
 */
export function parseLocation(text: string): Location {
  const { host, path } = split(text);
  return { host: canonicalHost(host), path: path ?? "" };
}

/** Formats a location as `host[:port]` or `host[:port]/path`. */
export function formatLocation({ host, path }: Location): string {
  return path === "" ? host : `${host}/${path}`;
}

/** Returns the canonical name of a registry: in lower case, and docker.io for index.docker.io. */
export function canonicalHost(host: string): string {
  const lower = host.toLowerCase();
  return lower === "index.docker.io" ? "docker.io" : lower;
}

/** Returns the host without its port: `registry.example` for `registry.example:5000`. */
export function withoutPort(host: string): string {
  return host.replace(/:[0-9]+$/, "");
}

/** Reports whether `path` equals `prefix` or is below it; every path is within the empty one. */
export function isWithin(path: string, prefix: string): boolean {
  return path === prefix || isBelow(path, prefix);
}

/** Reports whether `path` is below `prefix`, and not equal to it. */
export function isBelow(path: string, prefix: string): boolean {
  return prefix === "" ? path !== "" : path.startsWith(`${prefix}/`);
}

/**
 * Returns what is wrong with a location, as one sentence that says what to write instead, such as
 * one of `examples`, or undefined if it is valid. Call it before parsing, which would hide some
 * mistakes.
 */
export function mistakeInLocation(text: string, examples: string): string | undefined {
  const expected = `expected a registry, such as ${examples}`;
  if (text.trim() === "") return expected;
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.exec(text)?.[0];
  if (scheme !== undefined) return `leave out ${scheme}: ${expected}`;
  if (/\s/.test(text)) return `leave out the white space: ${expected}`;
  if (text.includes("@")) return `leave out the part with @: ${expected}`;
  if (text.endsWith("/")) return `leave out the slash at the end: ${expected}`;
  const { host, path } = split(text);
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
  // With one more element, because images are below a location. This limits the path to 253
  // characters.
  return referenceOrUndefined(`${host}/${path}/x`) === undefined ? `the path is malformed: ${expected}` : undefined;
}

function split(text: string): { readonly host: string; readonly path: string | undefined } {
  const slash = text.indexOf("/");
  return slash < 0 ? { host: text, path: undefined } : { host: text.slice(0, slash), path: text.slice(slash + 1) };
}
