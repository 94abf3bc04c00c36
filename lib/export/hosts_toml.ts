// hosts.toml, one file per registry, for containerd (containerd, docs/hosts.md) and for Docker
// Engine 28.0 or later with the containerd image store (moby, daemon/hosts.go): with the mirrors, by
// host and without paths, or with the host's registry proxy, which applies every rule. Pure.

import { formatLocation, type Location } from "../images/location.ts";
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
  type ProxyEndpoint,
  quote,
  type Unsupported,
  unsupported,
  urlOf,
} from "./model.ts";

/** The program that reads the files. */
interface Reader {
  readonly command: string;
  /** The folder that contains a folder for each registry. */
  readonly root: string;
  readonly next: (live: readonly ExportRule[]) => readonly string[];
  readonly credentials: (mirrors: string) => string;
}

const CONTAINERD: Reader = {
  command: "gilly export containerd",
  root: "/etc/containerd/certs.d",
  next: () => [
    'containerd reads these files if its config.toml says config_path = "/etc/containerd/certs.d" under ' +
    `[plugins."io.containerd.grpc.v1.cri".registry], in containerd 2 [plugins."io.containerd.cri.v1.images".registry]`,
    "setting config_path needs a restart of containerd, a change of these files does not",
  ],
  credentials: (mirrors) =>
    `credentials are not exported: give containerd those of ${mirrors} in config.toml, in a table ` +
    "registry.configs.HOST.auth beside config_path",
};

const DOCKER: Reader = {
  command: "gilly export docker",
  root: "/etc/docker/certs.d",
  next: (live) => [
    "Docker reads these files from Engine 28.0 on, and only with the containerd image store " +
    '(docker info says "driver-type: io.containerd.snapshotter.v1"); no restart is needed',
    ...classicStore(live),
  ],
  credentials: (mirrors) =>
    `the Engine asks mirrors without credentials: ${mirrors} must allow anonymous pulls, or its images still need Gilly`,
};

/** Exports the rules as files for containerd. */
export function exportContainerd(input: ExportInput): Exported {
  return exportFor(input, CONTAINERD);
}

/** Exports the rules as files for a Docker Engine with the containerd image store. */
export function exportDocker(input: ExportInput): Exported {
  return exportFor(input, DOCKER);
}

function exportFor(input: ExportInput, reader: Reader): Exported {
  return input.viaProxy === undefined ? exportHosts(input, reader) : exportViaProxy(input, input.viaProxy, reader);
}

function exportHosts(input: ExportInput, reader: Reader): Exported {
  const { live, dead, mirrorLocations } = prepareRules(input.rules);
  const expressed = live.filter((rule) => rule.path === "" && rule.kind !== "suffix" && !isOpen(rule));
  const remarks = new Map(expressed.map((rule) => [rule, [] as string[]]));
  const leftOut: Unsupported[] = [...dead];
  for (const rule of live.filter((rule) => !expressed.includes(rule))) {
    const { catcher, words } = fallbackFor(rule, expressed);
    if (catcher !== undefined && followsFrom(rule, catcher)) continue;
    const entry = unsupported(rule.rule, `${reasonFor(rule)}; ${words}`);
    leftOut.push(entry);
    if (catcher !== undefined) remarks.get(catcher)?.push(`${describeUnsupported(entry)}.`);
  }
  const notes = commonNotes(input);
  for (const rule of expressed.filter(({ kind }) => kind === "host")) {
    for (const mirror of mirrorLocations.filter(({ host }) => host === rule.host)) {
      const note = describeMisrouted(formatLocation(mirror), rule);
      notes.push(note);
      remarks.get(rule)?.push(`${note}.`);
    }
  }
  const named = input.withCredentials.filter((mirror) => expressed.some(({ mirrors }) => hasHost(mirrors, mirror)));
  if (named.length > 0) notes.push(reader.credentials(named.join(", ")));
  const files = expressed.map((rule) => {
    const path = pathOf(reader, rule.host);
    const text = header(path, reader.command, input) + comment(...remarks.get(rule) ?? [], TRUST);
    return {
      path,
      content: `${text}${serverOf(rule.host)}${rule.mirrors.map((mirror) => mirrorEntry(mirror, input)).join("")}`,
    };
  });
  const guards = guardedHosts(expressed, mirrorLocations).map((host) => {
    const path = pathOf(reader, host);
    return { path, content: guard(header(path, reader.command, input), host, input) };
  });
  return { files: [...files, ...guards], leftOut, notes, next: reader.next(expressed) };
}

/** Exports a file for each registry of the rules; a rule is left out only if it never matches. */
function exportViaProxy(input: ExportInput, { address, certFile }: ProxyEndpoint, reader: Reader): Exported {
  const { live, dead } = prepareRules(input.rules);
  const hosts = [...new Set(live.map(({ kind, host }) => kind === "host" ? host : ""))];
  const files = hosts.map((host) => {
    const path = pathOf(reader, host);
    const beginning = header(path, `${reader.command} --via-proxy`, input) + comment(VIA_PROXY) + serverOf(host);
    const way = [
      "",
      `[host.${quote(`https://${address}`)}]`,
      '  capabilities = ["pull", "resolve"]',
      `  ca = ${quote(certFile)}`,
      "",
    ];
    return { path, content: beginning + way.join("\n") };
  });
  const next = files.length === 0 ? [] : [
    "the registry proxy must run on this host: gilly-setup --proxy puts it there",
    ...reader.next([]),
  ];
  return { files, leftOut: dead, notes: [], next };
}

const VIA_PROXY = "Requests go to the registry proxy of this host, which applies the rules of that config. Where it " +
  "has no image, or does not run, the registry itself is asked, as without these files.";

const TRUST = "Mirrors are assumed to use HTTPS with a certificate that this host trusts. A mirror with a CA of " +
  'its own needs a line ca = "/path/of/ca.crt" below capabilities; for plain HTTP write http:// instead.';

function pathOf({ root }: Reader, host: string): string {
  return `${root}/${host === "" ? "_default" : host}/hosts.toml`;
}

/**
 * Returns the `server` line. `_default`, whose host is empty, has none, so that it falls back to the
 * registry that the image names.
 */
function serverOf(host: string): string {
  return host === "" ? "" : `server = ${quote(urlOf(host))}\n`;
}

function mirrorEntry({ host, path }: Location, { authorities }: ExportInput): string {
  const files = authorities[host] ?? [];
  return [
    "",
    `[host.${quote(path === "" ? urlOf(host) : `${urlOf(host)}/v2/${path}`)}]`,
    '  capabilities = ["pull", "resolve"]',
    ...(files.length === 0 ? [] : [`  ca = [${files.map(quote).join(", ")}]`]),
    // Without this, containerd would append a second /v2.
    ...(path === "" ? [] : ["  override_path = true"]),
    "",
  ].join("\n");
}

/**
 * Returns the mirrors whose own images `_default` would redirect. A mirror that is the only one of
 * `_default`, without a path, is not affected.
 */
function guardedHosts(expressed: readonly ExportRule[], mirrorLocations: readonly Location[]): string[] {
  const fallback = expressed.find(({ kind }) => kind === "every");
  if (fallback === undefined) return [];
  const [only, second] = fallback.mirrors;
  const hosts = [...new Set(mirrorLocations.map(({ host }) => host))];
  return hosts.filter((host) =>
    !expressed.some((rule) => rule.host === host) &&
    !(second === undefined && only?.host === host && only.path === "")
  );
}

function guard(beginning: string, host: string, { authorities }: ExportInput): string {
  const files = authorities[host] ?? [];
  const why = `${host} is a mirror: its own images come from itself, whatever _default says. Beside this file ` +
    'certificate files in this folder are no longer read: name them in a line ca = "/path/of/ca.crt".';
  return [
    `${beginning}${comment(why)}server = ${quote(urlOf(host))}`,
    "",
    `[host.${quote(urlOf(host))}]`,
    '  capabilities = ["pull", "resolve", "push"]',
    ...(files.length === 0 ? [] : [`  ca = [${files.map(quote).join(", ")}]`]),
    "",
  ].join("\n");
}

function reasonFor({ kind, path, rule }: ExportRule): string {
  if (path !== "") return "hosts.toml supports hosts, not paths";
  if (kind === "suffix") {
    return `hosts.toml supports no wildcards: write a rule for each host below ${rule.origin.slice(2)}`;
  }
  return "_default is the same for every registry and cannot fill in {registry}: write a rule for each registry";
}

/**
 * The classic image store supports only mirrors of Docker Hub, and none with a path (dockerd,
 * --registry-mirror).
 */
function classicStore(expressed: readonly ExportRule[]): string[] {
  const hub = expressed.find(({ host }) => host === "docker.io") ?? expressed.find(({ kind }) => kind === "every");
  const mirrors = hub?.mirrors.filter(({ path }) => path === "").map(({ host }) => urlOf(host)) ?? [];
  const sentence = "with the classic image store the Engine ignores them and supports mirrors of docker.io only";
  if (mirrors.length === 0) return [sentence];
  return [`${sentence}: in /etc/docker/daemon.json, "registry-mirrors": ${JSON.stringify(mirrors)}`];
}

function hasHost(locations: readonly Location[], host: string): boolean {
  return locations.some((location) => location.host === host);
}
