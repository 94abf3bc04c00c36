// Checks the mirrors: whether the runtime can reach them, and whether they accept the credentials.

import type { Config } from "../config/config.ts";
import { type AuthSettings, outsideInWords, usesCredentials } from "../images/auth_paths.ts";
import { formatLocation, parseLocation } from "../images/location.ts";
import type { RegistryAuth } from "../images/registry.ts";
import { locationAt, type RegistryRule } from "../images/rules.ts";
import { AuthFile, boundByKeys } from "../mirrors/credentials.ts";
import type { RuntimeAdvice } from "../runtime/advice.ts";
import { type Check, runtimeFailure } from "./context.ts";
import { fail, type Failed, type Finding, notAsked, ok, warn } from "./finding.ts";

/** Checks each mirror once. */
export const mirrorsCheck: Check = async ({ node: { config, runtime }, info, resolve, signal }) => {
  const probes = probesOf(config.registries, await boundByKeys(config.mirrors));
  if ((await info()).result !== "answered") {
    const because = `${runtime.advice.called} does not answer`;
    return probes.map(({ mirror }) => notAsked(nameOf(mirror), because));
  }
  return await Promise.all(probes.map(async ({ mirror, reference }) => {
    const { auth, credentials } = await credentialsFor(config, mirror, reference);
    try {
      await resolve(reference, { signal, auth });
      return checkMirror(mirror, credentials);
    } catch (error) {
      return checkMirrorFailure(mirror, runtimeFailure(error, signal), credentials, runtime.advice);
    }
  }));
};

/** A query to one mirror. */
export interface Probe {
  /** The mirror's host, as candidates carry it. */
  readonly mirror: string;
  /** A reference at that mirror, below a path that a rule uses, to an image that does not exist. */
  readonly reference: string;
}

/**
 * The name below a mirror's path in a probe. A healthy mirror answers that it has no such image.
 */
const NOBODYS_IMAGE = "gilly-check/no-such-image:none";

/**
 * Returns one probe for each mirror of the rules, in their order, below the mirror's first path.
 * `settings` are the settings of the mirrors, by host: if credentials are limited to some paths, a
 * path that uses them is preferred.
 */
export function probesOf(
  rules: readonly RegistryRule[],
  settings: Readonly<Record<string, AuthSettings>> = {},
): Probe[] {
  const isGuarded = ({ mirror, reference }: Probe) => usesCredentials(mirror, settings[mirror], reference);
  const probes = new Map<string, Probe>();
  for (const { origin, mirrors } of rules) {
    // A registry that the rule matches.
    const registry = parseLocation(origin).host.replace(/^\*\./, "gilly-check.").replace("*", "docker.io");
    for (const location of mirrors.map((mirror) => locationAt(mirror, registry))) {
      const mirror = location.host;
      const below = [`${formatLocation(location)}/${NOBODYS_IMAGE}`];
      // A mirror without a path can be asked for any path.
      if (location.path === "") {
        below.push(...(settings[mirror]?.authPaths ?? []).map((path) => `${mirror}/${within(path)}`));
      }
      for (const reference of below) {
        const [probe, known] = [{ mirror, reference }, probes.get(mirror)];
        if (known === undefined || (!isGuarded(known) && isGuarded(probe))) probes.set(mirror, probe);
      }
    }
  }
  return [...probes.values()];
}

/** Returns a name that a path pattern matches, and that no image has. */
function within(pattern: string): string {
  const path = pattern.replace(/:[^/]*$/, "").replace(/\/$/, "/**").replaceAll("**", "gilly-check/no-such-image");
  return `${path.replaceAll("*", "gilly-check")}:none`;
}

/** The credentials configured for a mirror. */
export interface Credentials {
  readonly file: string;
  /** Why the file provides none. */
  readonly problem?: string | undefined;
  /** The next step, if it is in the file. */
  readonly remedy?: string | undefined;
  /** Why they may well be refused, in words that follow the name of the file. */
  readonly flaw?: string | undefined;
  /** Why they were not used, which is no mistake in the file. */
  readonly unused?: string | undefined;
}

/** Returns the credentials that the config specifies for a reference at a mirror. */
export async function credentialsFor(
  config: Config,
  mirror: string,
  reference: string,
): Promise<{ auth?: RegistryAuth; credentials?: Credentials }> {
  const file = config.mirrors[mirror]?.authFile;
  if (file === undefined) return {};
  if (!usesCredentials(mirror, config.mirrors[mirror], reference)) {
    return { credentials: { file, unused: outsideInWords(mirror, reference) } };
  }
  const found = await new AuthFile(file, mirror).read(reference);
  if ("uncovered" in found) return { credentials: { file, unused: found.uncovered, remedy: found.remedy } };
  if ("problem" in found) return { credentials: { file, ...found } };
  return { auth: found.auth, credentials: { file, flaw: found.flaw, remedy: found.remedy } };
}

/** Returns the finding for a mirror that answered the probe. */
export function checkMirror(mirror: string, credentials: Credentials | undefined): Finding {
  const name = nameOf(mirror);
  if (credentials === undefined) return ok(name, "reachable, and answers without credentials");
  if (credentials.unused !== undefined) {
    return ok(
      name,
      `reachable, and answers without credentials; ${credentials.file} was not tried: ${credentials.unused}`,
    );
  }
  if (credentials.problem === undefined) {
    return ok(name, `reachable, and accepts the credentials of ${credentials.file}`);
  }
  const message = `reachable, but asked without credentials: ${credentials.problem}`;
  return warn(name, message, credentials.remedy ?? `fix ${credentials.file}`);
}

/** Returns the finding for a mirror that failed the probe. */
export function checkMirrorFailure(
  mirror: string,
  failure: Failed,
  credentials: Credentials | undefined,
  advice: RuntimeAdvice,
): Finding {
  const problem = credentials?.problem ?? credentials?.unused;
  const text = problem === undefined ? failure.text : `${failure.text}; asked without credentials: ${problem}`;
  const name = nameOf(mirror);
  switch (failure.kind) {
    case "denied":
      return checkDenial(mirror, text, credentials);
    case "rate-limited":
      return warn(
        name,
        `reachable, but it limits the rate of requests: ${text}`,
        "wait; repairs continue automatically",
      );
    case "stalled":
      return fail(name, text, "is the mirror up? Does a firewall drop packets to it?");
    case "registry-down":
      // Gilly itself asked, and speaks plain HTTP to this host alone; the runtime may be set up for it (rustls).
      if (/InvalidContentType/.test(text)) {
        return warn(name, "not checked, because it speaks plain HTTP", adviceOn(mirror, text, advice));
      }
      return fail(name, text, adviceOn(mirror, text, advice));
    default:
      return fail(name, text, advice.remedies.failed);
  }
}

function checkDenial(mirror: string, text: string, credentials: Credentials | undefined): Finding {
  const name = nameOf(mirror);
  const remedy = credentials === undefined
    ? `configure credentials for it: mirrors."${mirror}".authFile, in the format of Docker's config.json`
    : credentials.remedy ??
      (credentials.unused !== undefined
        ? `add the paths that pods need to mirrors."${mirror}".authPaths`
        : `check the entry for ${mirror} in ${credentials.file}`);
  // Some registries answer "denied" for every name that they do not have, whatever the credentials.
  if (credentials?.unused !== undefined) return warn(name, `reachable, but requires credentials: ${text}`, remedy);
  if (/\bdenied\b/i.test(text)) return warn(name, `reachable, but denies every name it does not have: ${text}`, remedy);
  const refused = credentials !== undefined && credentials.problem === undefined;
  const flaw = credentials?.flaw === undefined ? "" : `, ${credentials.flaw},`;
  return fail(
    name,
    `${refused ? `the credentials of ${credentials.file}${flaw} are refused` : "requires credentials"}: ${text}`,
    remedy,
  );
}

/** Returns what to check if the runtime cannot reach a mirror, based on its error message. */
function adviceOn(mirror: string, text: string, advice: RuntimeAdvice): string {
  if (/certificate has expired|not yet valid/i.test(text)) {
    return `check this host's clock; if it is right, the mirror needs a new certificate`;
  }
  // Go: "certificate is valid for A, not B", "certificate is not valid for any names", and the
  // messages about IP SANs and the legacy Common Name field.
  if (/certificate is (?:not )?valid for|legacy Common Name|doesn't contain any IP SANs/i.test(text)) {
    return `replace ${mirror} in the config with a name from the mirror's certificate`;
  }
  if (/no such host|name resolution|server misbehaving/i.test(text)) {
    return "check the mirror's name, and this host's DNS";
  }
  return advice.mirrorRemedy(mirror, text) ?? "is the mirror up, and can this host reach it?";
}

function nameOf(mirror: string): string {
  return `mirror ${mirror}`;
}
