// Judges the mirrors and what depends on them: are they reachable, do they take the credentials, do they have what is to
// be kept, and could the rules live in the runtime itself. Pure: answers and failures in, findings out.

import { type AuthSettings, usesCredentials } from "../images/auth_paths.ts";
import { formatLocation, parseLocation } from "../images/location.ts";
import { locationAt, type RegistryRule } from "../images/rules.ts";
import type { Refusal } from "../plan/plan.ts";
import type { RuntimeAdvice, RuntimeInfo } from "../runtime/advice.ts";
import { type MirrorState, type NodeState, statusLine } from "../status/node_state.ts";
import { type NoDaemon, RESTART, START } from "../status/read_state.ts";
import { fail, type Failed, type Finding, ok, warn } from "./finding.ts";
import type { Installed } from "./unit_file.ts";

/** A question to one mirror. */
export interface Probe {
  /** The mirror's host, as candidates carry it. */
  readonly mirror: string;
  /** A name at that mirror, below the path of the first rule that uses it, which no image has. */
  readonly reference: string;
}

/** What stands behind a mirror's path in a probe. A healthy mirror answers that it has no such image. */
const NOBODYS_IMAGE = "gilly-check/no-such-image:none";

/**
 * One probe for each mirror of the rules, in their order, below the first of its paths. `settings` are the mirrors' own, by
 * host: where credentials are bounded to some paths, a path that is asked with them is preferred.
 */
export function probesOf(
  rules: readonly RegistryRule[],
  settings: Readonly<Record<string, AuthSettings>> = {},
): Probe[] {
  const isGuarded = ({ mirror, reference }: Probe) => usesCredentials(mirror, settings[mirror], reference);
  const probes = new Map<string, Probe>();
  for (const { origin, mirrors } of rules) {
    // A registry that the rule stands for.
    const registry = parseLocation(origin).host.replace(/^\*\./, "gilly-check.").replace("*", "docker.io");
    for (const location of mirrors.map((mirror) => locationAt(mirror, registry))) {
      const mirror = location.host;
      const below = [`${formatLocation(location)}/${NOBODYS_IMAGE}`];
      // A rule that leads to the host alone leads to each of its paths.
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

/** A name that a pattern of paths matches, and that no image has. */
function within(pattern: string): string {
  const path = pattern.replace(/:[^/]*$/, "").replace(/\/$/, "/**").replaceAll("**", "gilly-check/no-such-image");
  return `${path.replaceAll("*", "gilly-check")}:none`;
}

/** Credentials that a mirror was asked with. */
export interface Credentials {
  readonly file: string;
  /** Why there are none in the file. */
  readonly problem?: string | undefined;
  /** Why they were not used, and the file was not even read. */
  readonly unused?: string | undefined;
}

/**
 * Credentials that a rule for everything lets any pod use: its mirror is asked for whatever path a pod names, and nobody
 * asks for the pod's imagePullSecrets. `settings` are the mirrors' own, by host.
 */
export function judgeOpenCredentials(
  rules: readonly RegistryRule[],
  settings: Readonly<Record<string, AuthSettings>>,
): Finding[] {
  const everything = rules.filter(({ origin }) => origin === "*").flatMap(({ mirrors }) => mirrors.map(parseLocation));
  return Object.entries(settings).flatMap(([mirror, { authFile, authPaths }]) => {
    const location = everything.find(({ host }) => host === mirror);
    const isBounded = authPaths !== undefined && !authPaths.includes("**");
    if (authFile === undefined || location === undefined || isBounded) return [];
    const message =
      `through the rule "*" any pod can run whatever ${formatLocation(location)} has and ${authFile} may see, ` +
      "without imagePullSecrets";
    const remedy = `use a robot account that sees public or proxied projects only, or bound it: ` +
      `mirrors."${mirror}".authPaths`;
    return [warn(`credentials of ${mirror}`, message, remedy)];
  });
}

/** A mirror that answered the probe: it has no such image, as it should. */
export function judgeMirror(mirror: string, credentials: Credentials | undefined): Finding {
  const name = nameOf(mirror);
  if (credentials === undefined) return ok(name, "reachable, and answers without credentials");
  if (credentials.unused !== undefined) {
    return ok(
      name,
      `reachable, and answers without credentials; ${credentials.file} was not tried: ${credentials.unused}`,
    );
  }
  if (credentials.problem === undefined) return ok(name, `reachable, and takes the credentials of ${credentials.file}`);
  return warn(name, `reachable, but asked without credentials: ${credentials.problem}`, `mend ${credentials.file}`);
}

/** A mirror that did not. */
export function judgeMirrorFailure(
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
      return judgeDenial(mirror, text, credentials);
    case "rate-limited":
      return warn(name, `reachable, but too many questions were asked: ${text}`, "wait; repairs go on by themselves");
    case "stalled":
      return fail(name, text, "is the mirror up, and does a firewall drop what is sent to it?");
    case "registry-down":
      return fail(name, text, adviceOn(mirror, text, advice));
    default:
      return fail(name, text, advice.hints.failed);
  }
}

function judgeDenial(mirror: string, text: string, credentials: Credentials | undefined): Finding {
  const name = nameOf(mirror);
  const remedy = credentials === undefined
    ? `name credentials for it: mirrors."${mirror}".authFile, in the form of Docker's config.json`
    : credentials.unused !== undefined
    ? `add the paths that pods need to mirrors."${mirror}".authPaths`
    : `check what ${credentials.file} has for ${mirror}`;
  // Some registries say "denied" of every name that they do not have, to whoever asks.
  if (credentials?.unused !== undefined) return warn(name, `reachable, but wants credentials: ${text}`, remedy);
  if (/\bdenied\b/i.test(text)) return warn(name, `reachable, but tells nothing of unknown names: ${text}`, remedy);
  const refused = credentials !== undefined && credentials.problem === undefined;
  return fail(
    name,
    `${refused ? `the credentials of ${credentials.file} are refused` : "wants credentials"}: ${text}`,
    remedy,
  );
}

/** Where to look when the runtime cannot reach a mirror, by what it says. */
function adviceOn(mirror: string, text: string, advice: RuntimeAdvice): string {
  if (/certificate has expired|not yet valid/i.test(text)) {
    return `check this host's clock; if it is right, the mirror needs a new certificate`;
  }
  // Go: "certificate is valid for A, not B", "certificate is not valid for any names", and IP or legacy Common Name ones.
  if (/certificate is (?:not )?valid for|legacy Common Name|doesn't contain any IP SANs/i.test(text)) {
    return `write a name of the mirror's certificate in place of ${mirror} into the config`;
  }
  if (/no such host|name resolution|server misbehaving/i.test(text)) {
    return "check the mirror's name, and this host's DNS";
  }
  return advice.mirrorHint(mirror, text) ?? "is the mirror up, and may this host reach it?";
}

/** What the running daemon says of itself, and the mirrors that it passes over; `now` is milliseconds since the epoch. */
export function judgeDaemon(state: NodeState, now: number): Finding[] {
  const { trouble: { pass, config, engine }, mirrors, configFile } = state;
  const line = statusLine(state, now);
  const itself = config !== null
    ? warn("daemon", line, `mend ${configFile}; then systemctl reload gilly`)
    : pass !== null
    ? warn("daemon", line, "see the kubelet above; the daemon tries again by itself")
    : engine !== null
    ? warn("daemon", line, "see the runtime above; the daemon goes on by itself")
    : ok("daemon", line);
  return [itself, ...mirrors.filter(hasFailed).map((mirror) => judgeCooldown(mirror, now))];
}

/** No daemon: how one knows, how gilly.service stands, and whether its process is there and says nothing. */
export function judgeNoDaemon({ because, silent }: NoDaemon, service: Installed): Finding {
  const message = `not running: ${because}`;
  if (service === "masked") {
    return fail("daemon", `${message}; gilly.service is masked`, "systemctl unmask gilly; systemctl start gilly");
  }
  // Nobody meant one to run here.
  if (service === "absent" && !silent) {
    return warn("daemon", `${message}; there is no gilly.service here`, "install.sh puts it there, or: gilly run");
  }
  return fail("daemon", message, silent ? RESTART : START);
}

function hasFailed({ state }: MirrorState): boolean {
  return state !== "up" && state !== "unknown";
}

function judgeCooldown({ mirror, coolingDownUntil, because }: MirrorState, now: number): Finding {
  const seconds = coolingDownUntil === null ? 0 : Math.ceil((Date.parse(coolingDownUntil) - now) / 1000);
  const when = seconds > 0 ? `is not asked for another ${seconds} s` : "failed, and is to be asked again";
  const message = `${when}: ${because ?? "no reason is known"}`;
  return warn(`cool-down of ${mirror}`, message, "the daemon asks it again by itself; see the mirror above");
}

/**
 * How an image of the `keep` list stands: present, absent but there at a mirror, `lost` when every mirror says that it has
 * no such image, `unanswered` when some did not say, `unknown` when the runtime did not.
 */
export type Kept =
  | { readonly state: "present" }
  | { readonly state: "absent"; readonly mirror: string }
  | { readonly state: "lost"; readonly because: string }
  | { readonly state: "unanswered"; readonly because: string }
  | { readonly state: "unknown"; readonly because: string }
  | { readonly state: "refused"; readonly refusal: Refusal };

/** One image that is to be kept present. */
export function judgeKept(image: string, kept: Kept): Finding {
  const name = `keep ${image}`;
  switch (kept.state) {
    case "present":
      return ok(name, "present");
    case "absent":
      return warn(name, `not here yet; ${kept.mirror} has it`, `the daemon pulls it, or: gilly pull ${image}`);
    case "lost":
      return fail(name, `not here, and no mirror has it: ${kept.because}`, "push it to a mirror");
    case "unanswered":
      return fail(name, `not here, and no mirror that answers has it: ${kept.because}`, "see the mirrors above");
    case "unknown":
      return fail(name, `cannot be inspected: ${kept.because}`, "see the runtime above");
    case "refused":
      return fail(name, `cannot be kept: ${kept.refusal.reason}`, kept.refusal.advice);
  }
}

/** Whether the runtime itself could use the mirrors. */
export function judgePermanentFix(advice: RuntimeAdvice, info: RuntimeInfo): Finding {
  const { message, hint } = advice.permanentFix(info);
  return ok("permanent fix", message, hint);
}

function nameOf(mirror: string): string {
  return `mirror ${mirror}`;
}
