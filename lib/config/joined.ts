// Rules that involve several keys of the config file. Pure. They read the unchecked values, because
// zod skips the rules of a section in which a key is wrong, and every mistake is to be reported.

import { formatLocation, parseLocation } from "../images/location.ts";
import { mistakeInMirror, mistakeInOrigin, originServes } from "../images/rules.ts";
import { type Fields, isFields } from "../support/json.ts";
import { quote } from "../support/text.ts";
import { KUBELET_FILES } from "./keys.ts";
import { type SettingMistake, suggestion, valueAt } from "./schema.ts";
import { mistakeInProxyHost, secondsOf } from "./values.ts";

/** Returns the mistakes that involve several keys; `filled` is the document with its defaults. */
export function mistakesAcrossKeys(filled: unknown): readonly SettingMistake[] {
  return [
    ...mistakesInCredentials(valueAt(filled, "kubelet")),
    ...mistakesInRuntimes(filled),
    ...mistakesInOrigins(valueAt(filled, "registries")),
    ...mistakesInMirrorHosts(valueAt(filled, "mirrors"), valueAt(filled, "registries")),
    ...mistakesInAuthPaths(valueAt(filled, "mirrors")),
    ...mistakesInProxyHosts(valueAt(valueAt(filled, "proxy"), "hosts"), valueAt(filled, "registries")),
    ...mistakesInBackoff(valueAt(valueAt(filled, "repair"), "backoff")),
  ];
}

function mistakesInCredentials(kubelet: unknown): readonly SettingMistake[] {
  if (!isFields(kubelet)) return [];
  const { url, certFile, keyFile, tokenFile } = kubelet;
  const given = Object.keys(KUBELET_FILES).filter((key) => valueAt(kubelet, key) !== undefined);
  const at = (key: string, message: string) => ({ path: ["kubelet", key], message });
  if (/^http:/i.test(String(url))) {
    const advice = "has no effect with http://, the read-only port: remove it, or write https:// in kubelet.url";
    return given.map((key) => at(key, advice));
  }
  if (certFile !== undefined && keyFile === undefined) return [at("certFile", "needs its private key: add keyFile")];
  if (keyFile !== undefined && certFile === undefined) return [at("keyFile", "needs its certificate: add certFile")];
  if (tokenFile !== undefined && certFile !== undefined) {
    return [at("tokenFile", "conflicts with certFile and keyFile: configure a certificate or a token, not both")];
  }
  if (tokenFile !== undefined || certFile !== undefined || typeof url !== "string") return [];
  return [{ path: ["kubelet"], message: "has no credentials; expected certFile and keyFile, or tokenFile" }];
}

/** A kubelet uses one runtime, and repairs in another help no pod. */
function mistakesInRuntimes(filled: unknown): readonly SettingMistake[] {
  if (valueAt(filled, "docker") === undefined || valueAt(filled, "containerd") === undefined) return [];
  return [{
    path: ["containerd"],
    message: "conflicts with docker: configure the runtime that the kubelet uses, not both",
  }];
}

function mistakesInOrigins(registries: unknown): readonly SettingMistake[] {
  if (!isFields(registries)) return [];
  const seen = new Map<string, string>();
  return Object.keys(registries).flatMap((origin) => {
    const mistake = mistakeInOrigin(origin);
    const canonical = mistake === undefined ? formatLocation(parseLocation(origin)) : origin;
    const twin = seen.get(canonical);
    seen.set(canonical, origin);
    const path = ["registries", origin];
    if (mistake !== undefined) return [{ path, message: `is not a valid origin: ${mistake}` }];
    return twin === undefined ? [] : [{ path, message: `is the same origin as ${quote(twin)}; keep one of them` }];
  });
}

function mistakesInMirrorHosts(mirrors: unknown, registries: unknown): readonly SettingMistake[] {
  if (!isFields(mirrors) || !isFields(registries)) return [];
  const used = mirrorHostsIn(registries);
  const seen = new Set<string>();
  return Object.keys(mirrors).flatMap((key) => {
    const path = ["mirrors", key];
    const { host } = parseLocation(key);
    const again = seen.has(host);
    seen.add(host);
    if (key.includes("/")) return [{ path, message: "is more than a host; expected HOST or HOST:PORT of a mirror" }];
    if (again) return [{ path, message: "is a duplicate in another spelling; keep one of them" }];
    if (used.includes(host) || used.length === 0) return [];
    return [{ path, message: `is not a mirror of any rule in registries; ${suggestion(host, [...new Set(used)])}` }];
  });
}

function mistakesInAuthPaths(mirrors: unknown): readonly SettingMistake[] {
  return Object.entries(isFields(mirrors) ? mirrors : {}).flatMap(([host, settings]) => {
    const paths = valueAt(settings, "authPaths") ?? undefined;
    const path = ["mirrors", host, "authPaths"];
    if (paths === undefined) return [];
    if ((valueAt(settings, "authFile") ?? undefined) === undefined) {
      return [{ path, message: "limits credentials that are not configured: add authFile" }];
    }
    const begin = `${host.toLowerCase()}/`;
    return (Array.isArray(paths) ? paths : []).flatMap((pattern, index) =>
      String(pattern).toLowerCase().startsWith(begin)
        ? [{ path: [...path, index], message: "begins with the mirror's own host; leave the host out" }]
        : []
    );
  });
}

/** Returns the hosts of all valid mirrors. */
function mirrorHostsIn(registries: Fields): readonly string[] {
  return Object.values(registries).flat().filter((mirror) => typeof mirror === "string")
    .filter((mirror) => mistakeInMirror(mirror) === undefined).map((mirror) => parseLocation(mirror).host);
}

/**
 * Returns the origins that `proxy.hosts` may have, which are its default: the proxy must reach each
 * mirror under its own name.
 */
export function redirectableOrigins(registries: Fields): readonly string[] {
  const mirrors = new Set(mirrorHostsIn(registries));
  return Object.keys(registries).filter((origin) =>
    mistakeInProxyHost(origin) === undefined && !mirrors.has(parseLocation(origin).host)
  );
}

function mistakesInProxyHosts(hosts: unknown, registries: unknown): readonly SettingMistake[] {
  if (!Array.isArray(hosts) || !isFields(registries)) return [];
  const mirrors = mirrorHostsIn(registries);
  const origins = Object.keys(registries).filter((origin) => mistakeInOrigin(origin) === undefined);
  const seen = new Set<string>();
  return hosts.flatMap((written, index) => {
    if (typeof written !== "string" || mistakeInProxyHost(written) !== undefined) return [];
    const path = ["proxy", "hosts", index];
    const { host } = parseLocation(written);
    const again = seen.has(host);
    seen.add(host);
    if (again) return [{ path, message: `${quote(host)} is listed twice; keep one of them` }];
    if (mirrors.includes(host)) {
      return [{ path, message: `${quote(host)} is a mirror of a rule, so the proxy would ask itself; remove it` }];
    }
    if (origins.some((origin) => originServes(origin, host)) || origins.length === 0) return [];
    const exact = origins.filter((origin) => !origin.includes("*")).map((origin) => parseLocation(origin).host);
    return [{ path, message: `no rule in registries is for ${quote(host)}; ${suggestion(host, exact)}` }];
  });
}

function mistakesInBackoff(backoff: unknown): readonly SettingMistake[] {
  const [initial, max] = [valueAt(backoff, "initial"), valueAt(backoff, "max")];
  if ((secondsOf(initial) ?? 0) <= (secondsOf(max) ?? Infinity)) return [];
  return [{ path: ["repair", "backoff", "max"], message: `${max} is shorter than initial, which is ${initial}` }];
}
