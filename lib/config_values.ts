// What single values of the config file may be: each rule answers with one sentence about a value that breaks it.
// A thinker: text in, sentence out. No sentence repeats a value that may be a secret.

import { regexes } from "zod";
import { mistakeInImagePattern } from "./exclude.ts";
import { parseReference } from "./image_ref.ts";
import { mistakeInMirror } from "./registry_map.ts";

/** What is wrong with the path of a file, as far as the text alone tells. */
export function mistakeInPath(value: string): string | undefined {
  if (value.trim() === "") return "is an empty text; expected the path of a file";
  if (looksSecret(value)) return "holds the secret itself; expected the path of a file that holds it";
  if (/[\0\n]/.test(value)) return "has several lines; expected the path of a file";
  if (value.startsWith("~")) return `${quoted(value)} begins with ~, which is not expanded here; write the whole path`;
  return undefined;
}

function looksSecret(value: string): boolean {
  return /-----BEGIN |^eyJ[\w-]+\.[\w-]+\.|^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(value);
}

/**
 * What is wrong with the address of a kubelet. The port is required, because 443, which is what a URL without one means,
 * is never the kubelet's. A slash at the end is harmless.
 */
export function mistakeInKubeletUrl(value: string): string | undefined {
  const expected = "expected https://HOST:PORT, such as https://worker-1:10250";
  if (/^[^/]*\/\/[^/]*@/.test(value)) {
    return `holds a user or a password; ${expected}, and credentials in certFile or tokenFile`;
  }
  const [, scheme = "", host = "", port = "", rest = ""] =
    /^(https?):\/\/(\[[^\]]*\]|[^:/?#]*)(?::([0-9]*))?(.*)$/is.exec(value) ?? [];
  if (!isHost(host)) return `${/[@?#]/.test(value) ? "this" : quoted(value)} is no address of a kubelet; ${expected}`;
  if (rest !== "" && rest !== "/") return `has something behind the host and the port; ${expected}`;
  if (Number(port) >= 1 && Number(port) <= 65535) return undefined;
  const usual = `${scheme}://${host}:${scheme.toLowerCase() === "https" ? 10250 : 10255}`;
  return `${quoted(value)} has no valid port, and none is guessed; the usual one makes it ${usual}`;
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
    return `is no unix socket, the only way to Docker that Gilly takes; ${expected}`;
  }
  const path = withoutUnixScheme(value);
  if (!path.startsWith("/")) return `${quoted(value)} is not absolute; ${expected}`;
  return mistakeInPath(path);
}

/** What is wrong with a mirror (see mistakeInMirror), with the value. */
export function mistakeInMirrorName(value: string): string | undefined {
  const mistake = mistakeInMirror(value);
  return mistake === undefined ? undefined : `${quoted(value)} is no mirror: ${mistake}`;
}

/** What is wrong with a pattern of images (see mistakeInImagePattern), with the value. */
export function mistakeInPattern(value: string): string | undefined {
  const mistake = mistakeInImagePattern(value);
  return mistake === undefined ? undefined : `${quoted(value)} is no pattern of images: ${mistake}`;
}

/** What is wrong with a namespace: a label of RFC 1123, as Kubernetes demands, in which `*` stands for anything. */
export function mistakeInNamespace(value: string): string | undefined {
  if (/^[a-z0-9*](?:[a-z0-9*-]{0,61}[a-z0-9*])?$/.test(value)) return undefined;
  return `${quoted(value)} is no namespace: expected one such as kube-system, or a pattern such as team-*`;
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

/** The path of a socket that may have been written as a URL. */
export function withoutUnixScheme(socket: string): string {
  return socket.replace(/^unix:\/\//, "");
}

/** A value for a sentence: in quotes, on one line, shortened. */
export function quoted(value: string): string {
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 79)}…` : value);
}
