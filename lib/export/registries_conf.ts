// registries.conf for podman, skopeo and CRI-O (containers-registries.conf(5), version 2), as one
// drop-in file that leaves the distribution's settings alone. The format supports paths and
// `*.host`, but not `*`. Pure.

import { formatLocation, isWithin, type Location } from "../images/location.ts";
import {
  comment,
  commonNotes,
  describeUnsupported,
  type Exported,
  type ExportInput,
  type ExportRule,
  fallbackFor,
  header,
  isOpen,
  prepareRules,
  quote,
  unsupported,
} from "./model.ts";

const PATH = "/etc/containers/registries.conf.d/50-gilly.conf";

/** Exports the rules as one file of registries.conf.d. */
export function exportRegistriesConf(input: ExportInput): Exported {
  const { live, dead, mirrorLocations } = prepareRules(input.rules);
  const expressed = live.filter((rule) => reasonAgainst(rule) === undefined);
  const leftOut = [
    ...dead,
    ...live.filter((rule) => !expressed.includes(rule)).map((rule) =>
      unsupported(rule.rule, `${reasonAgainst(rule)}; ${fallbackFor(rule, expressed).words}`)
    ),
  ];
  const notes = [...commonNotes(input), ...ties(expressed)];
  const named = input.withCredentials.filter((mirror) =>
    expressed.some(({ mirrors }) => mirrors.some(({ host }) => host === mirror))
  );
  if (named.length > 0) {
    notes.push(`credentials are not exported: log in to ${named.join(", ")} (containers-auth.json(5))`);
  }
  const remarks = [...leftOut.map(describeUnsupported), ...notes].map((sentence) => `${sentence}.`);
  const content = header(PATH, "gilly export registries.conf", input) + comment(...remarks, TRUST) +
    expressed.map(entry).join("") + guards(expressed, mirrorLocations).map(guard).join("");
  return {
    files: expressed.length === 0 ? [] : [{ path: PATH, content }],
    leftOut,
    notes,
    next: ["podman and skopeo read the file at once, CRI-O when it is reloaded (systemctl reload crio)"],
  };
}

const TRUST = "Mirrors are assumed to use HTTPS; the CA of one with its own belongs in " +
  "/etc/containers/certs.d/HOST/ca.crt. For plain HTTP add insecure = true below location.";

function reasonAgainst(rule: ExportRule): string | undefined {
  const { kind, host, path } = rule;
  if (kind === "every") {
    return "registries.conf has no entry for every registry: write a rule for each, docker.io among them";
  }
  if (kind === "host") return undefined;
  if (isOpen(rule)) return "a wildcard cannot fill in {registry}: write a rule for each host";
  return path === "" && !host.includes(":") ? undefined : "a wildcard takes neither a path nor a port";
}

function entry({ kind, host, path, mirrors }: ExportRule): string {
  const prefix = kind === "suffix" ? `*${host}` : formatLocation({ host, path });
  return [
    "",
    "[[registry]]",
    `prefix = ${quote(prefix)}`,
    // Without a location, a wildcard uses the registry that the image names.
    ...(kind === "suffix" ? [] : [`location = ${quote(prefix)}`]),
    ...mirrors.flatMap((mirror) => ["", "[[registry.mirror]]", `location = ${quote(formatLocation(mirror))}`]),
    "",
  ].join("\n");
}

/** Returns the locations of mirrors whose own images an entry would redirect. */
function guards(expressed: readonly ExportRule[], mirrorLocations: readonly Location[]): string[] {
  const names = mirrorLocations.flatMap((mirror) => {
    const ofHost = expressed.filter(({ kind, host }) => kind === "host" && host === mirror.host);
    const wildcard = expressed.some(({ kind, host }) => kind === "suffix" && mirror.host.endsWith(host));
    return [
      ...(ofHost.some(({ path }) => isWithin(mirror.path, path)) ? [formatLocation(mirror)] : []),
      ...(wildcard && !ofHost.some(({ path }) => path === "") ? [mirror.host] : []),
    ];
  });
  return [...new Set(names)];
}

function guard(name: string): string {
  const why = `${name} is a mirror: its own images come from itself, whatever the entries above say.`;
  return `\n${comment(why)}[[registry]]\nprefix = ${quote(name)}\nlocation = ${quote(name)}\n`;
}

/**
 * Returns a note for each host rule that loses to a wildcard. The longest prefix wins; if two are
 * equally long, the wildcard wins: `*.pkg.dev` before `x.pkg.dev`.
 */
function ties(expressed: readonly ExportRule[]): string[] {
  return expressed.filter(({ kind, path }) => kind === "host" && path === "").flatMap(({ host }) =>
    expressed.filter((other) => other.kind === "suffix" && host.endsWith(other.host))
      .filter((other) => other.host.length + 1 === host.length)
      .map((other) => `the rule *${other.host} comes before the rule ${host}, which is as long`)
  );
}
