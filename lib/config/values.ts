// What single values of the config file may be: each rule answers with one sentence about a value that breaks it.
// Pure: text in, sentence out. No sentence repeats a value that may be a secret.

import { regexes } from "zod/mini";
import { mistakeInAuthPath } from "../images/auth_paths.ts";
import { mistakeInImagePattern } from "../images/exclusions.ts";
import { parseReference } from "../images/reference.ts";
import { mistakeInMirror } from "../images/rules.ts";
import type { ListenAddress } from "../support/http_server.ts";
import { quote } from "../support/text.ts";

/** What is wrong with the path of a file, as far as the text alone tells. */
export function mistakeInPath(value: string): string | undefined {
  if (value.trim() === "") return "is empty; expected the path of a file";
  if (looksSecret(value)) return "holds the secret itself; expected the path of a file that holds it";
  if (/[\0\n]/.test(value)) return "has several lines; expected the path of a file";
  if (value.startsWith("~")) return `${quote(value)} begins with ~, which is not expanded here; write the whole path`;
  return undefined;
}

function looksSecret(value: string): boolean {
  return /-----BEGIN |^eyJ[\w-]+\.[\w-]+\.|^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(value);
}

/** What stands for this host's own name in `kubelet.url`, so that one config serves a whole fleet. */
export const HOSTNAME = "{hostname}";

/**
 * What is wrong with the address of a kubelet, in which `{hostname}` stands for a name that is not known yet. The port is required, because 443, which is what a URL without one means,
 * is never the kubelet's. A slash at the end is harmless.
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
 * The address of a kubelet with this host's name, as gethostname(2) has it, in the place of `{hostname}`: in lower case,
 * as the kubelet registers its node (k8s.io/kubernetes, pkg/util/node, GetHostname). Undefined where the name makes no
 * host of a URL.
 */
export function resolveHostname(url: string, hostname: string): string | undefined {
  const name = hostname.trim().toLowerCase();
  const resolved = url.replaceAll(HOSTNAME, name);
  return !name.includes(HOSTNAME) && mistakeInKubeletUrl(resolved) === undefined ? resolved : undefined;
}

// A host whose last label is a number is taken for an IPv4 address by everybody (URL Standard, "ends in a number").
function isHost(host: string): boolean {
  if (host.startsWith("[")) return regexes.ipv6.test(host.slice(1, -1));
  return /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\.?$/i.test(host) ? regexes.ipv4.test(host) : regexes.hostname.test(host);
}

/** What is wrong with the path of Docker's socket, with or without a leading `unix://`. */
export function mistakeInSocket(value: string): string | undefined {
  const expected = "expected the absolute path of a unix socket, such as /var/run/docker.sock";
  if (/^(?!unix:)[a-z]+:/i.test(value)) {
    return `is not a unix socket, the only transport that Gilly supports; ${expected}`;
  }
  const path = withoutUnixScheme(value);
  if (!path.startsWith("/")) return `${quote(value)} is not absolute; ${expected}`;
  return mistakeInPath(path);
}

/** What stands for a feature that is not wanted. */
export const OFF = "off";

/**
 * The address of `9464`, `:9464`, `127.0.0.1:9464`, `[::1]:9464` or `localhost:9464`. A port alone is one of the loopback
 * address, so that opening it to others takes writing their address out. Undefined for anything else, `off` among it.
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

/** What is wrong with the address at which metrics are served. */
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

/** What is wrong with a file for node_exporter's textfile collector, which reads nothing but *.prom. */
export function mistakeInTextfile(value: string): string | undefined {
  if (value === OFF) return undefined;
  const mistake = mistakeInPath(value);
  if (mistake !== undefined) return mistake;
  return /[^/]\.prom$/.test(value)
    ? undefined
    : `${quote(value)} does not end in .prom, which is all node_exporter reads`;
}

/** What is wrong with a mirror (see mistakeInMirror), with the value. */
export function mistakeInMirrorName(value: string): string | undefined {
  const mistake = mistakeInMirror(value);
  return mistake === undefined ? undefined : `${quote(value)} is not a valid mirror: ${mistake}`;
}

/** What is wrong with a pattern of images (see mistakeInImagePattern), with the value. */
export function mistakeInPattern(value: string): string | undefined {
  const mistake = mistakeInImagePattern(value);
  return mistake === undefined ? undefined : `${quote(value)} is not a valid image pattern: ${mistake}`;
}

/** What is wrong with a pattern of a mirror's paths (see mistakeInAuthPath), with the value. */
export function mistakeInPathPattern(value: string): string | undefined {
  const mistake = mistakeInAuthPath(value);
  return mistake === undefined ? undefined : `${quote(value)} is not a valid path pattern: ${mistake}`;
}

/** What is wrong with a namespace: a label of RFC 1123, as Kubernetes demands, in which `*` stands for anything. */
export function mistakeInNamespace(value: string): string | undefined {
  if (/^[a-z0-9*](?:[a-z0-9*-]{0,61}[a-z0-9*])?$/.test(value)) return undefined;
  return `${quote(value)} is not a valid namespace: expected one such as kube-system, or a pattern such as team-*`;
}

/** What is wrong with an image reference (see parseReference), with the value. */
export function mistakeInReference(value: string): string | undefined {
  try {
    parseReference(value);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Seconds of a duration: `500ms`, `5s`, `5m`, `1h`, or a number that is seconds already; undefined for anything else. */
export function secondsOf(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  const [, amount, unit] = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?$/.exec(String(value)) ?? [];
  if (typeof value !== "string" || amount === undefined) return undefined;
  const secondsIn: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600 };
  return Number(amount) * (secondsIn[unit ?? "s"] ?? 1);
}

/** Bytes of a size: `512KiB`, `10MiB` or `1GiB`; undefined for anything else, a bare number too. */
export function bytesOf(value: unknown): number | undefined {
  const [, amount, unit] = /^([0-9]+(?:\.[0-9]+)?)(KiB|MiB|GiB)$/.exec(String(value)) ?? [];
  if (typeof value !== "string" || unit === undefined) return undefined;
  const bytesIn: Record<string, number> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
  return Math.round(Number(amount) * bytesIn[unit]!);
}

/** The path of a socket that may have been written as a URL. */
export function withoutUnixScheme(socket: string): string {
  return socket.replace(/^unix:\/\//, "");
}
