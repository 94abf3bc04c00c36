// Where images are kept: `host[:port][/path]`, as origins, mirrors and patterns are written.
// Pure: text in, data out. It knows nothing of rules.

import { isDomain, referenceOrUndefined } from "./reference.ts";

/** A registry, or a path in it. */
export interface Location {
  /** `host[:port]` in lower case, `docker.io` for `index.docker.io`: the key under which a mirror's settings are kept. */
  readonly host: string;
  /** Without slashes around it; empty for the whole registry. */
  readonly path: string;
}

/** Takes a location apart. Two spellings that mean the same give the same location; a malformed one is not noticed. */
export function parseLocation(text: string): Location {
  const { host, path } = split(text);
  return { host: canonicalHost(host), path: path ?? "" };
}

/** `host[:port]` or `host[:port]/path`. */
export function formatLocation({ host, path }: Location): string {
  return path === "" ? host : `${host}/${path}`;
}

/** One spelling for all names of a registry: in lower case, and docker.io for index.docker.io. */
export function canonicalHost(host: string): string {
  const lower = host.toLowerCase();
  return lower === "index.docker.io" ? "docker.io" : lower;
}

/** The host without its port: `registry.example` of `registry.example:5000`. */
export function withoutPort(host: string): string {
  return host.replace(/:[0-9]+$/, "");
}

/** Whether a path is the other, or lies below it; every path lies within the empty one. */
export function isWithin(path: string, prefix: string): boolean {
  return path === prefix || isBelow(path, prefix);
}

/** Whether a path lies below the other, so that something is left of it. */
export function isBelow(path: string, prefix: string): boolean {
  return prefix === "" ? path !== "" : path.startsWith(`${prefix}/`);
}

/**
 * What is wrong with a location, as one sentence that says what to write instead, such as one of `examples`; undefined
 * when it is fine. Asked before it is parsed, since parsing would hide some of it.
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
  // An element more, because images lie below a location; it also asks for one character less than the longest path.
  return referenceOrUndefined(`${host}/${path}/x`) === undefined ? `the path is malformed: ${expected}` : undefined;
}

function split(text: string): { readonly host: string; readonly path: string | undefined } {
  const slash = text.indexOf("/");
  return slash < 0 ? { host: text, path: undefined } : { host: text.slice(0, slash), path: text.slice(slash + 1) };
}
