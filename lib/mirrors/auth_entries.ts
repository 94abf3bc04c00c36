// Which credentials a config.json has for an image at a mirror. Keys of `auths` may end in a path,
// as in containers-auth.json(5): the longest that covers the image's repository decides, and no
// entry is used for a repository outside its path. Pure. No text repeats a secret.

import { isWithin, parseLocation } from "../images/location.ts";
import { referenceOrUndefined } from "../images/reference.ts";
import type { RegistryAuth } from "../images/registry.ts";
import { type Fields, isFields } from "../support/json.ts";
import { quote, several } from "../support/text.ts";
import { AUTH_COMMAND, type AuthConfig, type AuthProblem } from "./auth_forms.ts";
import { decodeBase64 } from "./base64.ts";

/** Credentials for an image at a mirror, or why there are none. */
export type AuthLookup =
  | {
    readonly auth: RegistryAuth;
    /** Why they may well be refused, in words that follow the name of the file. */
    readonly flaw?: string;
    /** The next step if they are refused for the flaw. */
    readonly remedy?: string;
  }
  | AuthProblem
  | {
    /** The file has entries for other paths of the mirror only, which is no mistake. */
    readonly uncovered: string;
    readonly remedy: string;
  };

/**
 * Finds the credentials for an image. `reference` is its full name at `mirror`; `file` is used only
 * in texts. An entry may have `auth` (base64 of user:password), `username` and `password`, or
 * `identitytoken`. As in Docker, an `auth` that is not empty replaces the username and the password
 * (docker/cli cli/config/configfile), and the Engine prefers an identity token to both. A registry
 * token, which it would prefer to all, is not supported.
 */
export function credentialsIn(config: AuthConfig, mirror: string, reference: string, file: string): AuthLookup {
  const path = referenceOrUndefined(reference)?.path ?? "";
  const keys = keysFor(mirror, config.auths);
  const key = keys.find((key) => isWithin(path, key.path))?.key;
  const entry = key === undefined ? undefined : config.auths[key];
  const found = isFields(entry) ? fromEntry(entry, quote(key!), file) : undefined;
  if (found !== undefined) return found;
  const helper = helperFor(config, mirror);
  if (helper !== undefined) {
    const problem = `${file} uses the credential helper ${helper} for ${mirror}, but Gilly runs no programs`;
    return { problem, remedy: addition(config, mirror, file) };
  }
  if (key !== undefined) {
    const problem = `the entry ${quote(key)} of ${file} has no auth, username and password, or identitytoken`;
    return {
      problem: `${problem}${hasRegistryToken(entry) ? "; a registrytoken is not supported" : ""}`,
      remedy: AUTH,
    };
  }
  if (keys.length > 0) {
    const names = several(keys.map(({ key }) => quote(key)));
    const uncovered = `${file} has credentials only for ${names}, not for ${mirror}/${path}`;
    return { uncovered, remedy: addition(config, mirror, file) };
  }
  const others = several(Object.keys(config.auths).map((key) => quote(withoutUser(key))));
  const problem = `${file} has no credentials for ${mirror}${others === "" ? "" : `, only for ${others}`}`;
  return { problem, remedy: addition(config, mirror, file) };
}

/**
 * Returns the paths below the mirror's host that the keys of a file name, or undefined if a key
 * names the complete host, or none names the host at all.
 */
export function pathsIn({ auths }: AuthConfig, mirror: string): readonly string[] | undefined {
  const paths = keysFor(mirror, auths).map(({ path }) => path);
  return paths.length === 0 || paths.includes("") ? undefined : [...new Set(paths)];
}

interface Key {
  /** As in the file. */
  readonly key: string;
  /** Without leading or trailing slash; empty for the complete host. */
  readonly path: string;
}

/**
 * Returns the keys of a mirror, those with the longest path first. Of two for the same path, the
 * one that Docker itself would write goes first.
 */
function keysFor(mirror: string, auths: Fields): Key[] {
  const { host } = parseLocation(mirror);
  const rank = ({ key, path }: Key) =>
    key === (host === "docker.io" ? DOCKER_HUB : mirror) || key === `${host}/${path}` ? 0 : 1;
  return Object.keys(auths)
    .map((key) => ({ key, ...serverOf(key) }))
    .filter((server) => server.host === host)
    .map(({ key, path }) => ({ key, path }))
    .sort((one, other) => other.path.length - one.path.length || rank(one) - rank(other));
}

/** The key of Docker Hub in Docker's config.json. */
const DOCKER_HUB = "https://index.docker.io/v1/";

/**
 * Returns what a key names. Docker writes `host` or, in older versions, `https://host/v1/`, and
 * ignores every path; podman has keys with a path, but ignores that of a URL. Here the path of a
 * URL counts too, as for the kubelet (kubernetes pkg/credentialprovider/keyring.go), so that
 * credentials go to no repository that the file's author may not have meant.
 */
function serverOf(key: string): { readonly host: string; readonly path: string } {
  const plain = key.replace(/^https?:\/\//i, "");
  const isUrl = plain !== key;
  const { host, path } = parseLocation(plain);
  const below = isUrl ? path.replace(/^v[12](?=\/|$)/, "") : path.replace(/^v[12]\/$/, "");
  return { host, path: trimmed(below, "/") };
}

/** A URL may have a user and a password in it. */
function withoutUser(key: string): string {
  return key.replace(/^(https?:\/\/)?.*@/i, "$1");
}

const AUTH = `set its auth to what this prints: ${AUTH_COMMAND}`;

function addition({ isDockercfg }: AuthConfig, mirror: string, file: string): string {
  const place = isDockercfg ? file : `auths in ${file}`;
  return `add ${quote(mirror)}: {"auth": "…"} to ${place}, where … is what this prints: ${AUTH_COMMAND}`;
}

/** Returns what an entry gives; undefined if it has none of the fields. */
function fromEntry(entry: Fields, name: string, file: string): AuthLookup | undefined {
  const { identitytoken, username, password, auth } = entry;
  if (typeof identitytoken === "string" && identitytoken !== "") return { auth: { identitytoken } };
  const fields = typeof username === "string" && typeof password === "string" && username !== ""
    ? { username, password }
    : undefined;
  if (typeof auth !== "string" || auth.trim() === "") return fields && withFlaw(fields, name);
  const decoded = fromAuth(auth);
  if (typeof decoded !== "string") return withFlaw(decoded, name);
  // Docker warns of the file, and uses what it had read of it.
  if (fields !== undefined) return { auth: fields, flaw: `whose auth in the entry ${name} ${decoded}`, remedy: AUTH };
  return { problem: `auth of the entry ${name} in ${file} ${decoded}`, remedy: AUTH };
}

/** Returns what is encoded, or what is wrong with it. */
function fromAuth(auth: string): NameAndPassword | string {
  const decoded = decodeBase64(auth);
  if (decoded === undefined) return "is not base64; expected base64 of user:password";
  const colon = decoded.indexOf(":");
  if (colon < 0) return "is base64 of a text without a colon; expected user:password";
  if (colon === 0) return "is base64 of a text without a user before the colon; expected user:password";
  // docker/cli strips NULs, with which some programs pad the password.
  return { username: decoded.slice(0, colon), password: trimmed(decoded.slice(colon + 1), "\0") };
}

type NameAndPassword = Extract<RegistryAuth, { username: string }>;

/** Docker sends such a password as it is, and it may even be right. */
function withFlaw(auth: NameAndPassword, name: string): AuthLookup {
  const flaw = /[\r\n]$/.test(auth.password)
    ? "ends in a line break, as echo adds one"
    : auth.password.includes("\ufffd") || auth.username.includes("\ufffd")
    ? "is not UTF-8"
    : undefined;
  return flaw === undefined ? { auth } : { auth, flaw: `whose password in the entry ${name} ${flaw}`, remedy: AUTH };
}

function hasRegistryToken(entry: unknown): boolean {
  return isFields(entry) && typeof entry.registrytoken === "string" && entry.registrytoken !== "";
}

function helperFor({ credHelpers, credsStore }: AuthConfig, mirror: string): string | undefined {
  const { host } = parseLocation(mirror);
  const named = Object.entries(credHelpers).find(([server]) => {
    const { host: ofHelper, path } = serverOf(server);
    return ofHelper === host && path === "";
  })?.[1];
  const helper = named ?? credsStore;
  return typeof helper === "string" && helper !== "" ? quote(helper) : undefined;
}

/** Returns a text without this character at either end. */
function trimmed(text: string, character: string): string {
  let [start, end] = [0, text.length];
  while (start < end && text[start] === character) start++;
  while (end > start && text[end - 1] === character) end--;
  return text.slice(start, end);
}
