// The credentials of one mirror, from a file in the format of Docker's config.json. The file is
// read again when it changes. Credential helpers are refused by name, since Gilly runs no programs.
// Messages never contain credentials.

import { type AuthSettings, mistakeInAuthPath } from "../images/auth_paths.ts";
import { describeError } from "../support/errors.ts";
import { fingerprintOf } from "../support/files.ts";
import { type AuthLookup, credentialsIn, pathsIn } from "./auth_entries.ts";
import { type AuthConfig, type AuthProblem, creation, readAuthConfig, replacement, shellWord } from "./auth_forms.ts";

/** The largest file that is read, in bytes; the config refuses a larger one too. */
const LARGEST_FILE = 1024 * 1024;

/** A credentials file as used for one mirror. */
export class AuthFile {
  readonly #file: string;
  readonly #mirror: string;
  #fingerprint: string | undefined;
  /** What was read last. */
  #config: AuthConfig | AuthProblem | undefined;

  constructor(file: string, mirror: string) {
    this.#file = file;
    this.#mirror = mirror;
  }

  /** Returns the current credentials for an image, by its full name at the mirror. Never throws. */
  async read(reference: string): Promise<AuthLookup> {
    return this.#lookUp(await this.#read(), reference);
  }

  /** Returns what the last read gave for an image; undefined before the first. */
  last(reference: string): AuthLookup | undefined {
    return this.#config && this.#lookUp(this.#config, reference);
  }

  /**
   * Returns the paths below the mirror that have credentials, or undefined if that is every path or
   * none. Never throws.
   */
  async paths(): Promise<readonly string[] | undefined> {
    const config = await this.#read();
    return "problem" in config ? undefined : pathsIn(config, this.#mirror);
  }

  #lookUp(config: AuthConfig | AuthProblem, reference: string): AuthLookup {
    return "problem" in config ? config : credentialsIn(config, this.#mirror, reference, this.#file);
  }

  async #read(): Promise<AuthConfig | AuthProblem> {
    try {
      const fingerprint = await fingerprintOf(this.#file);
      if (this.#config === undefined || fingerprint !== this.#fingerprint) {
        this.#config = await readFile(this.#file, this.#mirror);
        this.#fingerprint = fingerprint;
      }
    } catch (error) {
      this.#config = unreadable(error, this.#file, this.#mirror);
      this.#fingerprint = undefined;
    }
    return this.#config;
  }
}

/**
 * Returns the settings of mirrors, by host, with the paths that their files have credentials for as
 * their authPaths, where the config has none.
 */
export async function boundByKeys(
  settings: Readonly<Record<string, AuthSettings>>,
): Promise<Record<string, AuthSettings>> {
  const bound = Object.entries(settings).map(async ([mirror, given]): Promise<[string, AuthSettings]> => {
    if (given.authFile === undefined || given.authPaths !== undefined) return [mirror, given];
    const paths = await new AuthFile(given.authFile, mirror).paths();
    if (paths === undefined) return [mirror, given];
    const patterns = paths.filter((path) => !path.includes("*")).map((path) => `${path}/**`);
    // No image has a path that is not a valid pattern.
    return [mirror, { ...given, authPaths: patterns.filter((pattern) => mistakeInAuthPath(pattern) === undefined) }];
  });
  return Object.fromEntries(await Promise.all(bound));
}

async function readFile(file: string, mirror: string): Promise<AuthConfig | AuthProblem> {
  const { isFile, isDirectory, size } = await Deno.stat(file);
  if (isDirectory) {
    return { problem: `${file} is a directory`, remedy: `set mirrors."${mirror}".authFile to a file in it` };
  }
  // To read a named pipe would not end.
  if (!isFile) return { problem: `${file} is not a regular file`, remedy: replacement(file, mirror) };
  if (size > LARGEST_FILE) return { problem: `${file} is larger than 1 MiB`, remedy: creation(file, mirror) };
  return readAuthConfig(await Deno.readTextFile(file), file, mirror);
}

function unreadable(error: unknown, file: string, mirror: string): AuthProblem {
  const word = shellWord(file);
  const remedy = error instanceof Deno.errors.PermissionDenied
    ? `let the service read it: chgrp gilly ${word} && chmod g+r ${word}`
    : error instanceof Deno.errors.NotFound
    ? creation(file, mirror)
    : replacement(file, mirror);
  return { problem: `cannot read ${file}: ${describeError(error)}`, remedy };
}
