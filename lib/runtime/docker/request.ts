// The parts of a request to the Docker Engine: version, path, query, credentials. Pure.

import type { RegistryAuth } from "../../images/registry.ts";
import { scrub } from "../../support/scrub.ts";
import { RuntimeError } from "../errors.ts";

/** The oldest supported API version: Engine 17.06 (moby, api/common.go at v17.06.0-ce). */
export const OLDEST_API = "1.30";
/** The newest API version used, that of Engine 28.5; newer Engines still support it. */
export const NEWEST_API = "1.51";

/**
 * Returns the API version to use with an Engine that offers `offered` (its Api-Version header),
 * such as `1.41`; undefined if that is not a version. Throws RuntimeError if it is older than
 * OLDEST_API.
 */
export function negotiatedVersion(attempt: string, offered: string): string | undefined {
  if (!/^\d{1,3}\.\d{1,4}$/.test(offered)) return undefined;
  if (compareVersions(offered, OLDEST_API) < 0) {
    const needed = `but API ${OLDEST_API} (Docker Engine 17.06) or newer is required`;
    throw new RuntimeError("failed", `${attempt}: the Docker Engine offers API ${offered}, ${needed}`);
  }
  return compareVersions(offered, NEWEST_API) < 0 ? offered : NEWEST_API;
}

/**
 * Returns the value of Docker's X-Registry-Auth: base64url of UTF-8 JSON, with padding. Docker
 * silently treats anything else as anonymous. With the containerd image store, a `serveraddress`
 * that differs from the registry makes it drop the credentials.
 */
export function registryAuthHeader(auth: RegistryAuth): string {
  return base64Of(JSON.stringify(auth)).replaceAll("+", "-").replaceAll("/", "_");
}

/**
 * Returns a text from an Engine or a registry without the credentials, in any form in which they
 * were sent. Some repeat them in their errors, which are logged.
 */
export function withoutCredentials(text: string, auth: RegistryAuth): string {
  const header = registryAuthHeader(auth);
  const forms = "identitytoken" in auth ? [auth.identitytoken] : [
    base64Of(`${auth.username}:${auth.password}`),
    auth.password,
  ];
  return scrub(text, [header, base64Of(JSON.stringify(auth)), ...forms]);
}

function base64Of(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/**
 * Returns the query of POST /images/create for one image. With a digest, the tag is omitted: Docker
 * ignores it, and some stores would keep it as part of a name. Throws RuntimeError if the reference
 * has neither, since Docker would pull every tag.
 */
export function pullQuery(attempt: string, reference: string): URLSearchParams {
  pathOf(attempt, reference);
  const [, named = "", digest] = /^([^@]*)(?:@(.*))?$/.exec(reference) ?? [];
  const [, name = "", tag] = /^(.*?)(?::([^:/]*))?$/.exec(named) ?? [];
  const suffix = digest ?? tag ?? "";
  if (name === "" || suffix === "") throw new RuntimeError("rejected", `${attempt}: a tag or a digest is required`);
  return new URLSearchParams({ fromImage: name, tag: suffix });
}

/**
 * Returns a reference as part of a URL path. Throws RuntimeError if it cannot be one: the Engine
 * answers `..` and `//` with a redirect to another endpoint, and a URL resolves `..` even before
 * that.
 */
export function pathOf(attempt: string, reference: string): string {
  const segments = reference.split("/");
  const isUsable = reference.length <= 1024 && /^[\x21-\x7e]+$/.test(reference) &&
    segments.every((segment) => segment !== "" && segment !== "." && segment !== "..");
  if (!isUsable) throw new RuntimeError("rejected", `${attempt}: not a usable image reference`);
  return segments.map((segment) => encodeURIComponent(segment).replaceAll("%3A", ":").replaceAll("%40", "@")).join("/");
}

function compareVersions(first: string, second: string): number {
  const [major = 0, minor = 0] = first.split(".").map(Number);
  const [otherMajor = 0, otherMinor = 0] = second.split(".").map(Number);
  return major - otherMajor || minor - otherMinor;
}
