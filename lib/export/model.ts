// What an export is made of and what comes out of it: rules in, files for another runtime out, and an honest list of
// what that runtime cannot be told. Pure: it writes nothing.

import { formatLocation, isWithin, type Location } from "../images/location.ts";
import { compileRules, locationAt, type Origin, PLACEHOLDER, type RegistryRule } from "../images/rules.ts";

/** What the formats are made from. */
export interface ExportInput {
  readonly rules: readonly RegistryRule[];
  /** Path of the config that the rules are from. */
  readonly source: string;
  /** Hosts of mirrors that want credentials. */
  readonly withCredentials: readonly string[];
  /** Patterns of images that Gilly leaves alone. */
  readonly excluded: readonly string[];
  /** Files with the certificate authorities of mirrors that need one of their own, by host. */
  readonly authorities: Readonly<Record<string, readonly string[]>>;
}

/** A complete file. */
export interface ExportedFile {
  /** Where the runtime looks for it: an absolute path. */
  readonly path: string;
  readonly content: string;
}

/** A rule that the format cannot express, and so does not hold. */
export interface Unsupported {
  readonly origin: string;
  /** Line of the config, from 1. */
  readonly line?: number | undefined;
  /** A sentence without its full stop: the reason, and what happens to the rule's images instead. */
  readonly why: string;
}

/** What an export brings. */
export interface Exported {
  readonly files: readonly ExportedFile[];
  readonly leftOut: readonly Unsupported[];
  /** Where the runtime will behave otherwise than Gilly; each a sentence without its full stop. */
  readonly notes: readonly string[];
  /** What is left to do once the files are placed; each a sentence without its full stop. */
  readonly next: readonly string[];
}

/** A rule taken apart. */
export interface ExportRule extends Origin {
  /** Each once. `{registry}` is filled in where the rule stands for one host alone. */
  readonly mirrors: readonly Location[];
}

/** Rules that count, in the order of the config, and those that never match. */
export interface ExportRules {
  readonly live: readonly ExportRule[];
  readonly dead: readonly Unsupported[];
  /** Where mirrors keep their images: what lies there is never rewritten. A path ends before `{registry}`. */
  readonly mirrorLocations: readonly Location[];
}

/** Whether a mirror of the rule has a name that depends on the registry that an image is from. */
export function isOpen({ mirrors }: ExportRule): boolean {
  return mirrors.some(({ path }) => path.includes(PLACEHOLDER));
}

/** Where a registry answers over HTTPS. Docker Hub answers elsewhere than its name says. */
export function urlOf(host: string): string {
  return `https://${host === "docker.io" ? "registry-1.docker.io" : host}`;
}

/** Takes rules apart. Throws TypeError on a rule that the config would have refused. */
export function prepareRules(rules: readonly RegistryRule[]): ExportRules {
  const { origins, mirrors: mirrorLocations } = compileRules(rules);
  const live: ExportRule[] = [];
  const dead: Unsupported[] = [];
  for (const rule of rules) {
    const origin = origins.find((origin) => origin.rule === rule)!;
    const { host, kind, path } = origin;
    const twin = live.find((other) => other.kind === kind && other.host === host && other.path === path);
    const mirror = mirrorLocations.find((other) =>
      kind === "host" && other.host === host && isWithin(path, other.path)
    );
    if (twin !== undefined) dead.push(unsupported(rule, `an earlier rule already covers ${twin.rule.origin}`));
    else if (mirror !== undefined) {
      dead.push(unsupported(rule, `it never matches, since ${formatLocation(mirror)} is a mirror`));
    } else live.push({ ...origin, mirrors: mirrorsOf(rule, kind === "host" ? host : undefined) });
  }
  return { live, dead, mirrorLocations };
}

/** A rule that is left out, for that reason. */
export function unsupported({ origin, line }: RegistryRule, why: string): Unsupported {
  return { origin, ...(line === undefined ? {} : { line }), why };
}

/**
 * The rule of `expressed` that catches the images of a rule that is left out, and how to say so: `its images follow the
 * rule gcr.io`.
 */
export function fallbackFor(
  rule: ExportRule,
  expressed: readonly ExportRule[],
): { readonly catcher: ExportRule | undefined; readonly words: string } {
  const rank = { host: 2, suffix: 1, every: 0 };
  const [catcher] = expressed.filter((other) => other !== rule && catches(other, rule))
    .sort((a, b) => rank[b.kind] - rank[a.kind] || b.host.length - a.host.length || b.path.length - a.path.length);
  const words = catcher === undefined
    ? "its images get no mirror"
    : `its images follow the rule ${catcher.rule.origin}`;
  return { catcher, words };
}

/** Whether a rule for a path says no more than the rule that catches its images without it. */
export function followsFrom(rule: ExportRule, catcher: ExportRule): boolean {
  const names = (locations: readonly Location[]) => locations.map(formatLocation).join(" ");
  return rule.kind !== "suffix" && isWithin(rule.path, catcher.path) &&
    names(rule.mirrors) === names(catcher.mirrors.map((mirror) => ({ host: mirror.host, path: below(mirror, rule) })));
}

/** The notes that hold for every format. */
export function commonNotes({ excluded }: ExportInput): string[] {
  return excluded.length === 0
    ? []
    : [`exclude.images has no counterpart: mirrors are asked for ${excluded.join(", ")} too`];
}

/** Comment lines of at most 80 characters, each with a leading `# `. */
export function comment(...sentences: readonly string[]): string {
  return sentences.map((sentence) => {
    const lines: string[] = [];
    for (const word of sentence.split(" ")) {
      const last = lines.at(-1);
      if (last !== undefined && last.length + 1 + word.length <= 78) lines[lines.length - 1] = `${last} ${word}`;
      else lines.push(word);
    }
    return lines.map((line) => `# ${line}\n`).join("");
  }).join("");
}

/** The beginning of every file: where it belongs, and where it is from. */
export function header(path: string, command: string, { source }: ExportInput): string {
  return comment(path, `Generated by ${command} from ${source}: change the rules there and export them again.`);
}

/** As a comment or a line of a terminal says it: `gcr.io/a (line 7) is left out: …`. */
export function describeUnsupported({ origin, line, why }: Unsupported): string {
  return `${origin}${line === undefined ? "" : ` (line ${line})`} is left out: ${why}`;
}

/** The note that a mirror's own images, which Gilly leaves alone, are sent elsewhere by a rule. */
export function describeMisrouted(mirror: string, { rule }: ExportRule): string {
  return `${mirror} is a mirror, but its own images are asked of the mirrors of ${rule.origin} first`;
}

function below({ path }: Location, rule: ExportRule): string {
  return path === "" ? rule.path : `${path}/${rule.path}`;
}

function mirrorsOf(rule: RegistryRule, registry: string | undefined): Location[] {
  const locations = rule.mirrors.map((mirror) => locationAt(mirror, registry));
  return [...new Map(locations.map((location) => [formatLocation(location), location])).values()];
}

function catches(other: ExportRule, rule: ExportRule): boolean {
  switch (other.kind) {
    case "host":
      return rule.kind === "host" && other.host === rule.host && isWithin(rule.path, other.path);
    case "suffix":
      return rule.kind !== "every" && rule.host.endsWith(other.host) && isWithin(rule.path, other.path);
    case "every":
      return true;
  }
}
