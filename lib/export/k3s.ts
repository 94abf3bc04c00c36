// registries.yaml for k3s and RKE2 (docs.k3s.io, Private Registry Configuration). The format
// supports hosts and `*`, endpoints with a path, and rewrites of repository names that all
// endpoints of a host share. Pure.

import { formatLocation, isWithin, type Location } from "../images/location.ts";
import {
  comment,
  commonNotes,
  describeMisrouted,
  describeUnsupported,
  type Exported,
  type ExportInput,
  type ExportRule,
  fallbackFor,
  followsFrom,
  header,
  isOpen,
  prepareRules,
  quote,
  type Unsupported,
  unsupported,
  urlOf,
} from "./model.ts";

const PATH = "/etc/rancher/k3s/registries.yaml";

/** One entry of `mirrors:`. */
interface Entry {
  readonly rule: ExportRule;
  /** Rules for paths on the same host, as rewrites. */
  readonly rewritten: readonly ExportRule[];
}

/** Exports the rules as the one file that k3s reads. */
export function exportK3s(input: ExportInput): Exported {
  const { live, dead, mirrorLocations } = prepareRules(input.rules);
  const whole = live.filter((rule) => rule.path === "" && rule.kind !== "suffix" && !isOpen(rule));
  const entries = whole.map((rule) => ({ rule, rewritten: rewritable(rule, live) }));
  const held = entries.flatMap(({ rule, rewritten }) => [rule, ...rewritten]);
  const leftOut: Unsupported[] = [
    ...dead,
    ...live.filter((rule) => !held.includes(rule)).flatMap((rule) => {
      const { catcher, words } = fallbackFor(rule, whole);
      const implied = catcher !== undefined && followsFrom(rule, catcher);
      return implied ? [] : [unsupported(rule.rule, `${reasonFor(rule, live)}; ${words}`)];
    }),
  ];
  const mirrors = [...new Set(held.flatMap((rule) => rule.mirrors.map(({ host }) => host)))];
  const named = input.withCredentials.filter((mirror) => mirrors.includes(mirror));
  const notes = [...commonNotes(input), ...misrouted(whole, mirrorLocations)];
  if (named.length > 0) {
    notes.push(`credentials are not exported: those of ${named.join(", ")} belong under configs, in auth`);
  }
  const remarks = [...leftOut.map(describeUnsupported), ...notes].map((sentence) => `${sentence}.`);
  const content = header(PATH, "gilly export k3s", input) + comment(...remarks, TRUST) +
    "mirrors:\n" + entries.map(entryText).join("") + configsText(mirrors, input);
  return {
    files: entries.length === 0 ? [] : [{ path: PATH, content }],
    leftOut,
    notes,
    next: [
      `k3s reads ${PATH} when it starts (systemctl restart k3s, or k3s-agent), RKE2 /etc/rancher/rke2/registries.yaml`,
      "there is only one such file: carry over what an existing one has under configs",
    ],
  };
}

const TRUST = "Mirrors are assumed to use HTTPS with a certificate that this host trusts. A mirror with a CA of " +
  "its own needs configs.HOST.tls.ca_file; for plain HTTP write http:// instead.";

/**
 * Returns the rules for paths on the rule's host that rewrites express exactly. If several rewrites
 * match, k3s uses any of them, so none may overlap with another or with the host's own.
 */
function rewritable(rule: ExportRule, live: readonly ExportRule[]): ExportRule[] {
  if (rule.kind !== "host" || rule.mirrors.some(({ path }) => path !== "")) return [];
  const ofHost = live.filter((other) => other.kind === "host" && other.host === rule.host && other.path !== "");
  const hosts = hostsOf(rule);
  return ofHost.filter((other) =>
    hostsOf(other) === hosts && commonPath(other) !== undefined &&
    !ofHost.some((third) => third !== other && (isWithin(third.path, other.path) || isWithin(other.path, third.path)))
  );
}

function hostsOf({ mirrors }: ExportRule): string {
  return mirrors.map(({ host }) => host).join(" ");
}

/** Returns the path that all mirrors of a rule share, or undefined if they differ. */
function commonPath({ mirrors }: ExportRule): string | undefined {
  const [first, ...rest] = mirrors;
  return first !== undefined && rest.every(({ path }) => path === first.path) ? first.path : undefined;
}

function entryText({ rule, rewritten }: Entry): string {
  const common = commonPath(rule);
  const rewrites = [
    ...(common ? [["^(.*)$", `${common}/$1`]] : []),
    ...rewritten.filter((other) => commonPath(other) !== other.path).map((other) => {
      const path = commonPath(other);
      return [`^${escape(other.path)}/(.*)$`, path ? `${path}/$1` : "$1"];
    }),
  ];
  const endpoints = rule.mirrors.map(({ host, path }) =>
    path === "" || common !== undefined ? urlOf(host) : `${urlOf(host)}/v2/${path}`
  );
  return [
    `  ${quote(rule.kind === "every" ? "*" : rule.host)}:`,
    "    endpoint:",
    ...endpoints.map((endpoint) => `      - ${quote(endpoint)}`),
    ...(rewrites.length === 0 ? [] : ["    rewrite:"]),
    ...rewrites.map(([from = "", to = ""]) => `      ${quote(from)}: ${quote(to)}`),
    "",
  ].join("\n");
}

function configsText(mirrors: readonly string[], { authorities }: ExportInput): string {
  const entries = mirrors.flatMap((host) => {
    const [file] = authorities[host] ?? [];
    return file === undefined ? [] : [`  ${quote(host)}:\n    tls:\n      ca_file: ${quote(file)}\n`];
  });
  return entries.length === 0 ? "" : `configs:\n${entries.join("")}`;
}

function reasonFor(rule: ExportRule, live: readonly ExportRule[]): string {
  const { kind, host, path } = rule;
  if (kind === "suffix") return `k3s supports no wildcard but *: write a rule for each host below ${host.slice(1)}`;
  if (path === "" || kind === "every") return "* cannot fill in {registry}: write a rule for each registry";
  const whole = live.find((other) => other.kind === "host" && other.host === host && other.path === "");
  if (whole === undefined) {
    return `k3s mirrors only whole hosts: write a rule for ${host} with the same mirrors, and the path is rewritten`;
  }
  return `k3s rewrites a path only on the mirrors that ${host} has too, without a path of their own, and only one path ` +
    "that is within no other";
}

/**
 * Returns a note for each mirror whose own images are requested from other mirrors first. A `*`
 * whose only endpoint is the mirror itself does not count.
 */
function misrouted(whole: readonly ExportRule[], mirrorLocations: readonly Location[]): string[] {
  const every = whole.find(({ kind }) => kind === "every");
  const [only, second] = every?.mirrors ?? [];
  const notes = mirrorLocations.flatMap((mirror) => {
    const own = whole.find(({ host }) => host === mirror.host);
    if (own !== undefined) return [describeMisrouted(formatLocation(mirror), own)];
    if (every === undefined || (second === undefined && only?.host === mirror.host && only.path === "")) return [];
    return [describeMisrouted(mirror.host, every)];
  });
  return [...new Set(notes)];
}

function escape(path: string): string {
  return path.replaceAll(".", "\\.");
}
