// The input and output of an export: rules in, files for another runtime out, with a list of the
// rules that its format cannot express. Pure: it writes nothing.

import { formatLocation, isWithin, type Location } from "../images/location.ts";
import { compileRules, locationAt, type Origin, PLACEHOLDER, type RegistryRule } from "../images/rules.ts";

/** The input of every format. */
export interface ExportInput {
  readonly rules: readonly RegistryRule[];
  /** Path of the config that contains the rules. */
  readonly source: string;
  /** Hosts of mirrors that have credentials. */
  readonly withCredentials: readonly string[];
  /** Patterns of images that Gilly skips. */
  readonly excluded: readonly string[];
  /** CA files of mirrors that have their own CA, by host. */
  readonly authorities: Readonly<Record<string, readonly string[]>>;
  /** Set if the runtime is to be led through the registry proxy; only for formats that can. */
  readonly viaProxy?: ProxyEndpoint;
}

/** Where a runtime finds the registry proxy of its host. */
export interface ProxyEndpoint {
  /** `ADDRESS:PORT`. */
  readonly address: string;
  /** The proxy's certificate, which the runtime must trust for it. */
  readonly certFile: string;
}

/** A complete file. */
export interface ExportedFile {
  /** The absolute path at which the runtime reads it. */
  readonly path: string;
  readonly content: string;
}

/** A rule that is left out of the export. */
export interface Unsupported {
  readonly origin: string;
  /** Line in the config, 1-based. */
  readonly line?: number | undefined;
  /** A sentence without its period: the reason, and what happens to the rule's images instead. */
  readonly why: string;
}

/** The result of an export. */
export interface Exported {
  readonly files: readonly ExportedFile[];
  readonly leftOut: readonly Unsupported[];
  /** How the runtime will behave differently from Gilly; each a sentence without its period. */
  readonly notes: readonly string[];
  /** What to do or know once the files are in place; each a sentence without its period. */
  readonly next: readonly string[];
}

/** A parsed rule. */
export interface ExportRule extends Origin {
  /** Without duplicates. `{registry}` is filled in if the rule is for a single host. */
  readonly mirrors: readonly Location[];
}

/** The rules that can match, in the order of the config, and those that never match. */
export interface ExportRules {
  readonly live: readonly ExportRule[];
  readonly dead: readonly Unsupported[];
  /**
   * The locations of the mirrors' own images, which are never rewritten. A path ends before
   * `{registry}`.
   */
  readonly mirrorLocations: readonly Location[];
}

/** Whether the path of one of the rule's mirrors depends on the image's registry (`{registry}`). */
export function isOpen({ mirrors }: ExportRule): boolean {
  return mirrors.some(({ path }) => path.includes(PLACEHOLDER));
}

/** Returns the HTTPS URL of a registry. Docker Hub is served by another host than its name. */
export function urlOf(host: string): string {
  return `https://${host === "docker.io" ? "registry-1.docker.io" : host}`;
}

/**
 * Returns a double-quoted YAML scalar, which supports JSON's escapes; it is also a TOML basic string,
 * whose syntax is the same for these texts.
 */
export function quote(text: string): string {
  return JSON.stringify(text);
}

/** Parses rules. Throws TypeError on a rule that the config would have refused. */
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

/** Returns the entry for a rule that is left out, with the reason. */
export function unsupported({ origin, line }: RegistryRule, why: string): Unsupported {
  return { origin, ...(line === undefined ? {} : { line }), why };
}

/**
 * Returns the rule of `expressed` that matches the images of a rule that is left out, and a
 * description such as `its images follow the rule gcr.io`.
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

/** Whether a rule for a path is redundant: its images get the same mirrors from `catcher`. */
export function followsFrom(rule: ExportRule, catcher: ExportRule): boolean {
  const names = (locations: readonly Location[]) => locations.map(formatLocation).join(" ");
  return rule.kind !== "suffix" && isWithin(rule.path, catcher.path) &&
    names(rule.mirrors) === names(catcher.mirrors.map((mirror) => ({ host: mirror.host, path: below(mirror, rule) })));
}

/** Returns the notes that apply to every format. */
export function commonNotes({ excluded }: ExportInput): string[] {
  return excluded.length === 0
    ? []
    : [`exclude.images has no counterpart: mirrors are queried for ${excluded.join(", ")} too`];
}

/** Returns comment lines of at most 80 characters, each with a leading `# `. */
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

/** Returns the header of every file: its path, and how it was generated. */
export function header(path: string, command: string, { source }: ExportInput): string {
  return comment(path, `Generated by ${command} from ${source}: change the rules there and export them again.`);
}

/**
 * Describes a rule that is left out, for a comment or a terminal: `gcr.io/a (line 7) is left out:
 * …`.
 */
export function describeUnsupported({ origin, line, why }: Unsupported): string {
  return `${origin}${line === undefined ? "" : ` (line ${line})`} is left out: ${why}`;
}

/** Returns the note that a rule redirects a mirror's own images, which Gilly never rewrites. */
export function describeMisrouted(mirror: string, { rule }: ExportRule): string {
  return `${mirror} is a mirror, but its own images are requested from the mirrors of ${rule.origin} first`;
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
