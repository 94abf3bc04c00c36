// The credentials of one mirror, from a file in the format of Docker's config.json. The file is
// read again when it changes. Credential helpers are refused by name, since Gilly runs no programs.
// Messages never contain credentials.

import { parseLocation } from "../images/location.ts";
import type { RegistryAuth } from "../images/registry.ts";
import { describeError } from "../support/errors.ts";
import { fingerprintOf } from "../support/files.ts";
import { type Fields, isFields } from "../support/json.ts";
import { quote } from "../support/text.ts";

/** A mirror's credentials, or one sentence on why there are none. */
export type AuthLookup = { readonly auth: RegistryAuth } | { readonly problem: string };

/** A credentials file as used for one mirror. */
export class AuthFile {
  readonly #file: string;
  readonly #mirror: string;
  #fingerprint: string | undefined;
  #found: AuthLookup | undefined;

  constructor(file: string, mirror: string) {
    this.#file = file;
    this.#mirror = mirror;
  }

  /** Returns the current credentials in the file. Never throws. */
  async read(): Promise<AuthLookup> {
    try {
      const fingerprint = await fingerprintOf(this.#file);
      if (this.#found === undefined || fingerprint !== this.#fingerprint) {
        this.#found = credentialsFor(this.#mirror, await Deno.readTextFile(this.#file), this.#file);
        this.#fingerprint = fingerprint;
      }
      return this.#found;
    } catch (error) {
      this.#found = undefined;
      return { problem: `cannot read ${this.#file}: ${describeError(error)}` };
    }
  }
}

/**
 * Finds a mirror's credentials in the text of a config.json (docker/cli cli/config/configfile):
 * `auths` by host, with `auth` (base64 of user:password), `username` and `password`, or
 * `identitytoken`. `file` is used only in the text of problems.
 */
export function credentialsFor(mirror: string, text: string, file: string): AuthLookup {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    // The parser's message would quote the file.
    return { problem: `${file} is not JSON` };
  }
  if (!isFields(config)) return { problem: `${file} is not an object in the format of Docker's config.json` };
  const auths = isFields(config.auths) ? config.auths : {};
  const entry = valueOf(mirror, auths);
  if (isFields(entry)) {
    const auth = fromEntry(entry);
    if (auth !== undefined) return { auth };
  }
  const helper = helperFor(config, mirror);
  if (helper !== undefined) {
    return { problem: `${file} uses the credential helper ${helper} for ${mirror}, but Gilly runs no programs` };
  }
  return entry === undefined
    ? { problem: `${file} has no credentials for ${mirror}` }
    : { problem: `${file} has an entry for ${mirror} without auth, username and password, or identitytoken` };
}

function fromEntry(entry: Fields): RegistryAuth | undefined {
  const { identitytoken, username, password, auth } = entry;
  if (typeof identitytoken === "string" && identitytoken !== "") return { identitytoken };
  if (typeof username === "string" && typeof password === "string" && username !== "") return { username, password };
  if (typeof auth !== "string") return undefined;
  const decoded = decodeBase64(auth);
  const colon = decoded.indexOf(":");
  // docker/cli strips trailing NULs, with which some programs pad the password.
  return colon < 1
    ? undefined
    : { username: decoded.slice(0, colon), password: decoded.slice(colon + 1).replace(/\0+$/, "") };
}

function helperFor(config: Fields, mirror: string): string | undefined {
  const helpers = isFields(config.credHelpers) ? config.credHelpers : {};
  const helper = valueOf(mirror, helpers) ?? config.credsStore;
  return typeof helper === "string" && helper !== "" ? quote(helper) : undefined;
}

/**
 * The exact name takes precedence over other spellings of the same host
 * (docker/cli cli/config/credentials/file_store.go).
 */
function valueOf(mirror: string, byServer: Fields): unknown {
  if (Object.hasOwn(byServer, mirror)) return byServer[mirror];
  return Object.entries(byServer).find(([server]) => hostOf(server) === hostOf(mirror))?.[1];
}

/** Docker writes servers as `host`, `https://host` or `https://host/v1/`, and docker.io as `index.docker.io`. */
function hostOf(server: string): string {
  return parseLocation(server.replace(/^https?:\/\//i, "")).host;
}

function decodeBase64(text: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0)));
  } catch {
    return "";
  }
}
