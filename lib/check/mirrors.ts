// Checks the mirrors: whether the runtime can reach them, and whether they accept the credentials.

import type { Config } from "../config/config.ts";
import { type AuthSettings, outsideInWords, usesCredentials } from "../images/auth_paths.ts";
import { formatLocation, parseLocation } from "../images/location.ts";
import type { RegistryAuth } from "../images/registry.ts";
import { locationAt, type RegistryRule } from "../images/rules.ts";
import { AuthFile, boundByKeys } from "../mirrors/credentials.ts";
import { isAboutCredentials } from "../mirrors/denial.ts";
import type { RuntimeAdvice } from "../runtime/advice.ts";
import { type NetworkFault, networkFaultIn, networkRemedy } from "../runtime/network_texts.ts";
import type { Resolve } from "../runtime/runtime.ts";
import { type Check, type CheckContext, runtimeFailure } from "./context.ts";
import { fail, type Failed, type Finding, notAsked, ok, warn } from "./finding.ts";
import { askingMirrors } from "./registry.ts";

/** Checks each mirror once, and each path of the rules. */
export const mirrorsCheck: Check = async (context) => {
  const { node: { config, runtime }, info } = context;
  const probes = probesOf(config.registries, await boundByKeys(config.mirrors));
  const paths = checkPaths(config.registries);
  if ((await info()).result !== "answered") {
    const because = `${runtime.advice.called} does not answer`;
    return [...probes.map(({ mirror }) => notAsked(nameOf(mirror), because)), ...paths];
  }
  return [...await Promise.all(probes.map((probe) => checkProbe(probe, context))), ...paths];
};

async function checkProbe({ mirror, reference }: Probe, context: CheckContext): Promise<Finding> {
  const { node: { config, runtime: { advice, resolve } }, process: { clock }, signal } = context;
  const { auth, credentials } = await credentialsFor(config, mirror, reference);
  const asked = await ask(context.resolve, reference, signal, auth);
  if (typeof asked !== "string") {
    const isOwn = resolve === undefined;
    // A runtime's text may hide what was answered, such as a page with status 404.
    const own = isOwn || !isUnclear(asked)
      ? undefined
      : await ask(askingMirrors(advice.certsFolder, clock.now), reference, signal, auth);
    return checkMirrorFailure(mirror, clearer(asked, own), { credentials, advice, isOwn });
  }
  const without = auth === undefined ? undefined : await ask(context.resolve, reference, signal, undefined);
  return checkMirror({ mirror, reference }, asked, credentials, without);
}

/** How a mirror answered a probe: it has the image, or says that it does not. */
export type Probed = "absent" | "present";

async function ask(
  resolve: Resolve,
  reference: string,
  signal: AbortSignal,
  auth: RegistryAuth | undefined,
): Promise<Probed | Failed> {
  try {
    return await resolve(reference, { signal, auth }) === undefined ? "absent" : "present";
  } catch (error) {
    return runtimeFailure(error, signal);
  }
}

/** Kinds of a runtime's failure that leave open what the mirror answered. */
const UNCLEAR: ReadonlySet<string> = new Set(["failed", "rejected", "registry-error"]);

/** Whether a runtime's failure leaves open what answered: a web page may refuse with 403, too. */
function isUnclear({ kind, text }: Failed): boolean {
  return UNCLEAR.has(kind) || kind === "denied" && !isAboutCredentials(text);
}

/** Kinds of a failure of our own request that another path to the mirror may explain. */
const OUR_OWN: ReadonlySet<string> = new Set(["registry-down", "stalled", "proxy-refused"]);

/** Returns a runtime's failure, with what Gilly itself was answered if that tells more. */
function clearer(failure: Failed, own: Probed | Failed | undefined): Failed {
  if (own === undefined || typeof own === "string" || own.kind === failure.kind || OUR_OWN.has(own.kind)) {
    return failure;
  }
  return { kind: own.kind, text: `${failure.text}; to Gilly itself: ${own.text}` };
}

/**
 * Returns a warning for each path of a mirror that begins as those of the API do, which clients add
 * themselves (distribution specification, "Endpoints").
 */
export function checkPaths(rules: readonly RegistryRule[]): Finding[] {
  const locations = new Set(rules.flatMap(({ mirrors }) => mirrors));
  return [...locations].flatMap((text) => {
    const [host = "", version = "", ...rest] = text.split("/");
    if (version !== "v1" && version !== "v2") return [];
    const message = `its path begins with ${version}/: the /${version} of a registry's API does not belong in the path`;
    return [warn(nameOf(text), message, `write ${[host, ...rest].join("/")} into the config`)];
  });
}

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

/**
 * Returns the finding for a mirror that answered the probe; `without` is its answer without the
 * credentials, if the first was with them.
 */
export function checkMirror(
  { mirror, reference }: Probe,
  asked: Probed,
  credentials: Credentials | undefined,
  without: Probed | Failed | undefined,
): Finding {
  const name = nameOf(mirror);
  if (asked === "present") return checkAnything(name, `it claims to have ${reference}, which nobody pushed`);
  if (credentials === undefined) return ok(name, "reachable, and answers without credentials");
  const { file, unused, problem } = credentials;
  if (unused !== undefined) {
    return ok(name, `reachable, and answers without credentials; ${file} was not tried: ${unused}`);
  }
  if (problem !== undefined) {
    return warn(name, `reachable, but asked without credentials: ${problem}`, credentials.remedy ?? `fix ${file}`);
  }
  if (without === asked) {
    return ok(name, `reachable, and answers without credentials; those of ${file} were sent, and not required`);
  }
  if (typeof without === "object" && without.kind !== "denied") {
    return ok(name, `reachable with the credentials of ${file}; whether it requires them is unknown: ${without.text}`);
  }
  return ok(name, `reachable, and accepts the credentials of ${file}`);
}

/** What is known about a mirror's failure besides its text. */
export interface FailureContext {
  readonly credentials: Credentials | undefined;
  readonly advice: RuntimeAdvice;
  /** Whether Gilly itself asked, in place of a runtime that cannot. */
  readonly isOwn: boolean;
}

/** Returns the finding for a mirror that failed the probe. */
export function checkMirrorFailure(mirror: string, failure: Failed, context: FailureContext): Finding {
  const { credentials, advice } = context;
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
      return fail(name, text, networkRemedy(mirror, "timeout"));
    case "registry-down":
      return checkConnection(mirror, text, context);
    case "not-a-registry":
      return fail(
        name,
        `what answers is not a registry: ${text}`,
        `check the mirror's name and path in the config, and what answers in its place: curl -v https://${mirror}/v2/`,
      );
    case "registry-error":
      return fail(name, `reachable, but it answers with an error: ${text}`, "its own log says why");
    case "proxy-refused":
      return fail(
        name,
        `the proxy on the way to it refuses: ${text}`,
        `check the proxy's rules and credentials, or go past it: ${advice.noProxyRemedy([mirror])}`,
      );
    case "wrong-platform":
    case "unsupported-image":
    case "incomplete-image":
      return checkAnything(name, text);
    default:
      return fail(name, text, `the cause is not known to Gilly: ${advice.remedies.failed}`);
  }
}

function checkAnything(name: string, text: string): Finding {
  return warn(
    name,
    `reachable, but it seems to have an image of any name: ${text}`,
    "check the mirror's name and path in the config: a server that answers for any name is seldom a registry",
  );
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
  if (!isAboutCredentials(text)) {
    const others = "or a policy, a quota or a filter of the mirror refuses, which its own log says";
    return fail(name, `refuses: ${text}`, `${remedy}; ${others}`);
  }
  const refused = credentials !== undefined && credentials.problem === undefined;
  const flaw = credentials?.flaw === undefined ? "" : `, ${credentials.flaw},`;
  return fail(
    name,
    `${refused ? `the credentials of ${credentials.file}${flaw} are refused` : "requires credentials"}: ${text}`,
    remedy,
  );
}

/** What Gilly itself cannot do at a mirror, and a runtime can that is set up for it. */
const BEYOND_US: Partial<Record<NetworkFault, string>> = {
  "plain-http": "it speaks plain HTTP",
  "client-certificate": "it requires a client's certificate, which Gilly does not send",
  "ca-as-server": "its own certificate is that of a CA, which Gilly's TLS refuses",
  "outdated-form": "its certificate has a form that Gilly's TLS refuses",
};

function checkConnection(mirror: string, text: string, { advice, isOwn }: FailureContext): Finding {
  const fault = networkFaultIn(text);
  const remedy = fault && advice.mirrorRemedy(mirror, fault) || networkRemedy(mirror, fault);
  const beyond = isOwn && fault ? BEYOND_US[fault] : undefined;
  return beyond === undefined
    ? fail(nameOf(mirror), text, remedy)
    : warn(nameOf(mirror), `not checked, because ${beyond}`, remedy);
}

function nameOf(mirror: string): string {
  return `mirror ${mirror}`;
}
