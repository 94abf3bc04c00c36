// How a request to the Docker Engine is spelled: version, path, query, credentials. Pure: it sends nothing.

import type { RegistryAuth } from "../../images/registry.ts";
import { scrub } from "../../support/scrub.ts";
import { RuntimeError } from "../errors.ts";

/** The oldest API that is spoken: Engine 17.06. (moby, api/common.go at v17.06.0-ce) */
export const OLDEST_API = "1.30";
/** The newest API that is spoken, that of Engine 28.5; newer Engines still serve it. */
export const NEWEST_API = "1.51";

/**
 * The API version to speak with an Engine that offers `offered` (its Api-Version header), such as `1.41`; undefined when
 * that is no version. An Engine older than OLDEST_API throws RuntimeError.
 */
export function negotiatedVersion(attempt: string, offered: string): string | undefined {
  if (!/^\d{1,3}\.\d{1,4}$/.test(offered)) return undefined;
  if (compareVersions(offered, OLDEST_API) < 0) {
    const needed = `API ${OLDEST_API} (Docker Engine 17.06) or newer is needed`;
    throw new RuntimeError("failed", `${attempt}: the Docker Engine offers API ${offered}, ${needed}`);
  }
  return compareVersions(offered, NEWEST_API) < 0 ? offered : NEWEST_API;
}

/**
 * Docker's X-Registry-Auth: base64url of UTF-8 JSON, padding included. Anything else is silently taken for anonymous,
 * and a `serveraddress` that differs from the registry drops the credentials on the containerd image store.
 */
export function registryAuthHeader(auth: RegistryAuth): string {
  return base64Of(JSON.stringify(auth)).replaceAll("+", "-").replaceAll("/", "_");
}

/**
 * What an Engine or a registry says, without the credentials that it was given, in any form in which they were sent: some
 * repeat them in their errors, and those end in a journal.
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
 * The query of POST /images/create for one image. With a digest the tag is left out: Docker ignores it, and some stores
 * would keep it as part of a name. Throws RuntimeError when the reference has neither: Docker would pull every tag.
 */
export function pullQuery(attempt: string, reference: string): URLSearchParams {
  pathOf(attempt, reference);
  const [, named = "", digest] = /^([^@]*)(?:@(.*))?$/.exec(reference) ?? [];
  const [, name = "", tag] = /^(.*?)(?::([^:/]*))?$/.exec(named) ?? [];
  const suffix = digest ?? tag ?? "";
  if (name === "" || suffix === "") throw new RuntimeError("rejected", `${attempt}: a tag or a digest is needed`);
  return new URLSearchParams({ fromImage: name, tag: suffix });
}

/**
 * A reference as part of a URL path. Throws RuntimeError for what cannot be one: the Engine answers `..` and `//` with a
 * redirect to another endpoint, and a URL would resolve `..` even before that.
 */
export function pathOf(attempt: string, reference: string): string {
  const segments = reference.split("/");
  const isUsable = reference.length <= 1024 && /^[\x21-\x7e]+$/.test(reference) &&
    segments.every((segment) => segment !== "" && segment !== "." && segment !== "..");
  if (!isUsable) throw new RuntimeError("rejected", `${attempt}: not a reference that can be asked for`);
  return segments.map((segment) => encodeURIComponent(segment).replaceAll("%3A", ":").replaceAll("%40", "@")).join("/");
}

function compareVersions(first: string, second: string): number {
  const [major = 0, minor = 0] = first.split(".").map(Number);
  const [otherMajor = 0, otherMinor = 0] = second.split(".").map(Number);
  return major - otherMajor || minor - otherMinor;
}
