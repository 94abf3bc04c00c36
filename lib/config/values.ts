// The rules for single values of the config file. Each returns one sentence about a value that
// breaks it, or undefined. Pure. No message repeats a value that may be a secret.

import { regexes } from "zod/mini";
import { mistakeInAuthPath } from "../images/auth_paths.ts";
import { mistakeInImagePattern } from "../images/exclusions.ts";
import { canonicalHost } from "../images/location.ts";
import { parseReference } from "../images/reference.ts";
import { mistakeInMirror } from "../images/rules.ts";
import type { RuntimeKind } from "../runtime/open.ts";
import type { ListenAddress } from "../support/http/server.ts";
import { protectedFolderOf } from "../support/protected_folders.ts";
import { quote } from "../support/text.ts";

/** Returns what is wrong with the path of a file, judged by its text alone. */
export function mistakeInPath(value: string): string | undefined {
  if (value.trim() === "") return "is empty; expected the path of a file";
  if (looksSecret(value)) return "holds the secret itself; expected the path of a file that holds it";
  if (/[\0\n]/.test(value)) return "has several lines; expected the path of a file";
  if (value.startsWith("~")) return `${quote(value)} begins with ~, which is not expanded here; write the full path`;
  return undefined;
}

function looksSecret(value: string): boolean {
  return /-----BEGIN |^eyJ[\w-]+\.[\w-]+\.|^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(value);
}

/**
 * The placeholder for this host's name in `kubelet.url`, so that one config serves a whole fleet.
 */
export const HOSTNAME = "{hostname}";

/**
 * Returns what is wrong with the URL of a kubelet, which may contain `{hostname}`. The port is
 * required, because the default port of a URL, such as 443, is never the kubelet's. A trailing
 * slash is allowed.
 */
export function mistakeInKubeletUrl(value: string): string | undefined {
  const expected = "expected https://HOST:PORT, such as https://worker-1:10250";
  if (/^[^/]*\/\/[^/]*@/.test(value)) {
    return `contains a user or a password; ${expected}, and credentials in certFile or tokenFile`;
  }
  const [, scheme = "", host = "", port = "", rest = ""] =
    /^(https?):\/\/(\[[^\]]*\]|[^:/?#]*)(?::([0-9]*))?(.*)$/is.exec(value) ?? [];
  if (!isHost(host.replaceAll(HOSTNAME, "worker"))) {
    return `${/[@?#]/.test(value) ? "this" : quote(value)} is not a valid kubelet URL; ${expected}`;
  }
  if (rest !== "" && rest !== "/") return `has more than a host and a port; ${expected}`;
  if (Number(port) >= 1 && Number(port) <= 65535) return undefined;
  const usual = `${scheme}://${host}:${scheme.toLowerCase() === "https" ? 10250 : 10255}`;
  return `${quote(value)} has no valid port; with the usual one it is ${usual}`;
}

/**
 * Returns the URL of a kubelet with `{hostname}` replaced by this host's name (gethostname(2)) in
 * lower case, as the kubelet registers its node (k8s.io/kubernetes, pkg/util/node, GetHostname).
 * Returns undefined if the name is not a valid host in a URL.
 */
export function resolveHostname(url: string, hostname: string): string | undefined {
  const name = hostname.trim().toLowerCase();
  const resolved = url.replaceAll(HOSTNAME, name);
  return !name.includes(HOSTNAME) && mistakeInKubeletUrl(resolved) === undefined ? resolved : undefined;
}

// A host whose last label is a number is parsed as an IPv4 address (URL Standard, "ends in a
// number").
function isHost(host: string): boolean {
  if (host.startsWith("[")) return regexes.ipv6.test(host.slice(1, -1));
  return /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\.?$/i.test(host) ? regexes.ipv4.test(host) : regexes.hostname.test(host);
}

/** Where each runtime listens by default. */
export const USUAL_SOCKETS: Readonly<Record<RuntimeKind, string>> = {
  docker: "/var/run/docker.sock",
  containerd: "/run/containerd/containerd.sock",
};

/** Why a worker with CRI-O cannot be served, and what to do there. */
export const CRIO_REFUSED =
  "it has no call that names an image, so its images cannot be repaired; its own mirrors can: gilly export registries.conf";

/**
 * Returns what is wrong with the path of a runtime's socket, with or without a leading `unix://`. To
 * open a socket takes the permission to write, which the binary does not have in the system's folders.
 */
export function mistakeInSocket(value: string, runtime: RuntimeKind): string | undefined {
  const expected = `expected the absolute path of a unix socket, such as ${USUAL_SOCKETS[runtime]}`;
  if (/^(?!unix:)[a-z]+:/i.test(value)) {
    return `is not a unix socket, the only transport that Gilly supports; ${expected}`;
  }
  const path = withoutUnixScheme(value);
  if (!path.startsWith("/")) return `${quote(value)} is not absolute; ${expected}`;
  const folder = protectedFolderOf(path);
  if (folder !== undefined) return `${path} is in ${folder}, where Gilly may not open a socket; ${expected}`;
  return mistakeInPath(path) ?? mistakeInRuntime(path, runtime);
}

/** Recognizes the socket of another runtime by its usual name. */
function mistakeInRuntime(path: string, runtime: RuntimeKind): string | undefined {
  const name = path.replace(/^.*\//, "");
  if (name === "crio.sock") return `is CRI-O's socket: ${CRIO_REFUSED}`;
  if (name === "cri-dockerd.sock" || name === "dockershim.sock") {
    return `is the socket of a shim, which has no images of its own; expected docker: {socket: ${USUAL_SOCKETS.docker}}`;
  }
  if (name !== "docker.sock" && name !== "containerd.sock") return undefined;
  const other = name === "docker.sock" ? "docker" : "containerd";
  return other === runtime ? undefined : `is ${other}'s socket; write it under ${other}: instead of ${runtime}:`;
}

/** The value that turns a feature off. */
export const OFF = "off";

/**
 * Parses `9464`, `:9464`, `127.0.0.1:9464`, `[::1]:9464` or `localhost:9464`. A port alone means
 * the loopback address, so that serving other hosts requires an explicit address. Returns undefined
 * for anything else, including `off`.
 */
export function listenAddressOf(value: unknown): ListenAddress | undefined {
  if (typeof value !== "string" && typeof value !== "number") return undefined;
  const [, host = "", digits = ""] = /^(?:(\[[^\]]*\]|[^:]*):)?([0-9]{1,5})$/.exec(String(value)) ?? [];
  const hostname = host === "" ? "127.0.0.1" : host.replace(/^\[(.*)\]$/, "$1");
  const port = Number(digits);
  const known = host.startsWith("[")
    ? regexes.ipv6.test(hostname)
    : hostname === "localhost" || regexes.ipv4.test(hostname);
  return known && port >= 1 && port <= 65535 ? { hostname, port } : undefined;
}

/** Returns what is wrong with the address at which metrics are served. */
export function mistakeInListen(value: unknown): string | undefined {
  if (value === OFF || listenAddressOf(value) !== undefined) return undefined;
  const expected =
    "expected off, a port of the loopback address such as 9464, or an address and a port such as 10.0.0.5:9464";
  if (Array.isArray(value)) return `${expected}, got a list; put an IPv6 address in quotes: "[::1]:9464"`;
  if (typeof value === "object") return `${expected}, got a mapping`;
  if (typeof value !== "string") return `${expected}, got ${typeof value === "number" ? "the number " : ""}${value}`;
  return value.startsWith("*:")
    ? `${expected}; every address of this host is 0.0.0.0:PORT`
    : `${expected}, got ${quote(value)}`;
}

/** Returns what is wrong with the address at which the registry proxy serves this host. */
export function mistakeInProxyListen(value: unknown): string | undefined {
  if (listenAddressOf(value)?.hostname === "127.0.0.1") return undefined;
  const got = typeof value === "string" ? quote(value) : typeof value === "object" ? "another type" : String(value);
  return `expected a port of 127.0.0.1, where the redirect leads, such as 127.0.0.1:12443, got ${got}`;
}

/**
 * Returns what is wrong with the address that stands for the hosts of the registry proxy. Docker
 * verifies no certificate of a host in 127.0.0.0/8 (moby registry/config.go, loadInsecureRegistries).
 */
export function mistakeInProxyAddress(value: string): string | undefined {
  const expected = "expected an IPv4 address that no other host has, such as 169.254.77.7";
  if (!regexes.ipv4.test(value)) return `${quote(value)} is not an IPv4 address; ${expected}`;
  if (value.startsWith("127.")) return `${value} is in 127.0.0.0/8, where Docker verifies no certificate; ${expected}`;
  if (/^(?:0|22[4-9]|2[34][0-9]|25[0-5])\./.test(value)) return `${value} is not the address of a host; ${expected}`;
  return undefined;
}

/** Returns what is wrong with a host that the registry proxy is to serve. */
export function mistakeInProxyHost(value: string): string | undefined {
  if (value.includes("*")) {
    return `${quote(value)} is a pattern, which /etc/hosts cannot hold; list the hosts themselves`;
  }
  if (/[:/]/.test(value)) {
    return `${quote(value)} is more than a host; expected one such as gcr.io, which is served on port 443`;
  }
  if (!isHost(value) || !value.includes(".") || regexes.ipv4.test(value)) {
    return `${quote(value)} is not the host of a registry; expected one such as gcr.io`;
  }
  return canonicalHost(value) === DOCKER_HUB
    ? "docker.io cannot be redirected; gilly-redirect plan shows what to put into Docker's daemon.json instead"
    : undefined;
}

const DOCKER_HUB = "docker.io";

/**
 * Returns what is wrong with the path of a file for node_exporter's textfile collector, which reads
 * only *.prom.
 */
export function mistakeInTextfile(value: string): string | undefined {
  if (value === OFF) return undefined;
  const mistake = mistakeInPath(value);
  if (mistake !== undefined) return mistake;
  return /[^/]\.prom$/.test(value)
    ? undefined
    : `${quote(value)} does not end in .prom, which is all node_exporter reads`;
}

/** Returns what is wrong with a mirror (see mistakeInMirror), including the value. */
export function mistakeInMirrorName(value: string): string | undefined {
  const mistake = mistakeInMirror(value);
  return mistake === undefined ? undefined : `${quote(value)} is not a valid mirror: ${mistake}`;
}

/** Returns what is wrong with an image pattern (see mistakeInImagePattern), including the value. */
export function mistakeInPattern(value: string): string | undefined {
  const mistake = mistakeInImagePattern(value);
  return mistake === undefined ? undefined : `${quote(value)} is not a valid image pattern: ${mistake}`;
}

/** Returns what is wrong with a path pattern (see mistakeInAuthPath), including the value. */
export function mistakeInPathPattern(value: string): string | undefined {
  const mistake = mistakeInAuthPath(value);
  return mistake === undefined ? undefined : `${quote(value)} is not a valid path pattern: ${mistake}`;
}

/**
 * Returns what is wrong with a namespace: a label as in RFC 1123, which Kubernetes requires, in
 * which `*` matches any run of characters.
 */
export function mistakeInNamespace(value: string): string | undefined {
  if (/^[a-z0-9*](?:[a-z0-9*-]{0,61}[a-z0-9*])?$/.test(value)) return undefined;
  return `${quote(value)} is not a valid namespace: expected one such as kube-system, or a pattern such as team-*`;
}

/** Returns what is wrong with an image reference (see parseReference). */
export function mistakeInReference(value: string): string | undefined {
  try {
    parseReference(value);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Returns the seconds of a duration such as `500ms`, `5s`, `5m` or `1h`. A number without a unit is
 * in seconds. Returns undefined for anything else.
 */
export function secondsOf(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  const [, amount, unit] = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?$/.exec(String(value)) ?? [];
  if (typeof value !== "string" || amount === undefined) return undefined;
  const secondsIn: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600 };
  return Number(amount) * (secondsIn[unit ?? "s"] ?? 1);
}

/**
 * Returns the bytes of a size such as `512KiB`, `10MiB` or `1GiB`. Returns undefined for anything
 * else, including a bare number.
 */
export function bytesOf(value: unknown): number | undefined {
  const [, amount, unit] = /^([0-9]+(?:\.[0-9]+)?)(KiB|MiB|GiB)$/.exec(String(value)) ?? [];
  if (typeof value !== "string" || unit === undefined) return undefined;
  const bytesIn: Record<string, number> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
  return Math.round(Number(amount) * bytesIn[unit]!);
}

/** Returns the path of a socket that may be written as a `unix://` URL. */
export function withoutUnixScheme(socket: string): string {
  return socket.replace(/^unix:\/\//, "");
}
