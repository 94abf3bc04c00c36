// The findings about the registry proxy and its redirect: every condition under which a pull does
// not reach it. Pure.

import type { RuntimeAdvice, RuntimeInfo } from "../../runtime/advice.ts";
import { proxiedHosts } from "../../runtime/no_proxy.ts";
import { LEAD_CONTAINERD, proxyLine, type ProxyState } from "../../status/proxy_state.ts";
import type { NoDaemon } from "../../status/read_state.ts";
import type { CertificateFacts } from "../../support/certificate_facts.ts";
import { checkCooldowns, type CooldownWords } from "../cooldown.ts";
import { DAY_MS, expiry } from "../expiry.ts";
import { fail, type Finding, ok, warn } from "../finding.ts";

/** What is known about the proxy of a host. */
export interface ProxyFacts {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The registries that the config leads to it. */
  readonly hosts: readonly string[];
  /** `ADDRESS:PORT` where it serves. */
  readonly listen: string;
  /** The address that stands for the registries, and its port: `169.254.77.7:443`. */
  readonly way: string;
  readonly configFile: string;
  readonly seen: { readonly state: ProxyState } | { readonly state: undefined } & NoDaemon;
  readonly certificate:
    & { readonly file: string }
    & ({ readonly facts: CertificateFacts; readonly notFor: readonly string[] } | { readonly problem: string });
  /** Why the proxy does not answer where it serves, and through the address; undefined if it does. */
  readonly silent: { readonly here: string | undefined; readonly way: string | undefined };
  readonly hostsFile: {
    readonly isLink: boolean;
    readonly redirected: ReadonlySet<string>;
    /** Lines of somebody else for one of the registries. */
    readonly foreign: readonly string[];
  };
  /** The registries for which the runtime does not trust the certificate. */
  readonly untrusted: readonly string[];
  /** Programs that the redirect needs and this host lacks. */
  readonly missing: readonly string[];
  readonly runtime: Pick<RuntimeAdvice, "short" | "noProxyRemedy">;
  readonly httpsProxy: RuntimeInfo["httpsProxy"];
  /** How containerd is led there; undefined for Docker, which is redirected. */
  readonly files?: {
    readonly led: ReadonlySet<string>;
    /** See RuntimeInfo.mirrorsFolder. */
    readonly folder: string | undefined;
  };
}

const START = "systemctl start gilly-proxy; journalctl -u gilly-proxy -n 20 says why it stopped";
const AGAIN = "systemctl restart gilly-redirect; journalctl -u gilly-redirect -n 5 says why not";
const RENEW = "systemctl restart gilly-proxy makes a new one";
const COOLDOWN_WORDS: CooldownWords = {
  name: "proxy's cool-down",
  unused: "the proxy does not use it",
  failed: "it failed",
  program: "the proxy",
};
const MONTH_MS = 30 * DAY_MS;

/** Returns the findings, the proxy itself first. */
export function checkProxy(facts: ProxyFacts): Finding[] {
  const { seen } = facts;
  return [
    checkProcess(facts),
    checkCertificate(facts),
    ...(facts.files === undefined ? checkRedirect(facts) : [checkFiles(facts, facts.files)]),
    ...checkCooldowns(seen.state?.mirrors ?? [], facts.now, COOLDOWN_WORDS),
  ];
}

function checkProcess({ seen, silent, listen, hostsFile, configFile, files }: ProxyFacts): Finding {
  const name = "registry proxy";
  if (seen.state === undefined) {
    const message = `not running: ${seen.because}`;
    const led = [...hostsFile.redirected].join(", ");
    if (led === "") return warn(name, `${message}; pulls go to the registries themselves, repairs go on`, START);
    return fail(name, `${message}, and ${led} are still led to it: their pulls fail`, `gilly-redirect down; ${START}`);
  }
  if (silent.here !== undefined) {
    return fail(name, `it does not answer at ${listen}: ${silent.here}`, "systemctl restart gilly-proxy");
  }
  const line = proxyLine(seen.state);
  if (seen.state.trouble.config !== null) return warn(name, line, `fix ${configFile}; then systemctl reload gilly`);
  if (seen.state.trouble.certificate !== null) return warn(name, line, files === undefined ? AGAIN : RENEW);
  return ok(name, line);
}

function checkCertificate({ certificate, now, runtime, files }: ProxyFacts): Finding {
  const name = "certificate of the proxy";
  const { file } = certificate;
  if ("problem" in certificate) return fail(name, `${file} ${certificate.problem}`, RENEW);
  const { facts: { notAfter }, notFor } = certificate;
  if (notAfter <= now) return fail(name, `${file} ${expiry(notAfter, now)}: ${runtime.short} refuses it`, RENEW);
  if (notFor.length > 0) {
    const remedy = files === undefined ? "systemctl reload gilly-redirect makes a new one" : RENEW;
    return warn(name, `${file} is not for ${notFor.join(", ")}`, remedy);
  }
  if (notAfter - now < MONTH_MS) {
    const late = files === undefined ? ", and the redirect has not renewed it" : "";
    return warn(name, `${file} ${expiry(notAfter, now)}${late}`, RENEW);
  }
  return ok(name, `${file} ${expiry(notAfter, now)}`);
}

function checkRedirect(facts: ProxyFacts): Finding[] {
  const { hosts, hostsFile: { redirected }, silent, way, untrusted, runtime } = facts;
  const bypassed = checkBypassed(facts);
  const name = "redirect";
  if (hosts.length === 0) {
    return [
      warn(name, "no rule has a registry that can be redirected", `name one in proxy.hosts of ${facts.configFile}`),
    ];
  }
  const left = hosts.filter((host) => !redirected.has(host));
  if (left.length > 0) {
    const message = `pulls of ${left.join(", ")} are not led to the proxy`;
    if (bypassed !== undefined) return [bypassed];
    return [warn(name, `${message}${reasonFor(facts)}`, remedyFor(facts))];
  }
  if (silent.way !== undefined) {
    return [fail(name, `${hosts.join(", ")} lead to ${way}, which does not reach the proxy: ${silent.way}`, AGAIN)];
  }
  if (untrusted.length > 0) {
    return [
      fail(name, `${runtime.short} does not trust the proxy for ${untrusted.join(", ")}: their pulls fail`, AGAIN),
    ];
  }
  return [bypassed ?? ok(name, `pulls of ${hosts.join(", ")} are led to the proxy`)];
}

/** containerd asks a registry itself where the proxy does not answer, so nothing here is a failure. */
function checkFiles({ hosts }: ProxyFacts, { led, folder }: NonNullable<ProxyFacts["files"]>): Finding {
  const name = "way to the proxy";
  const left = hosts.filter((host) => !led.has(host));
  if (left.length > 0) return warn(name, `pulls of ${left.join(", ")} are not led to the proxy`, LEAD_CONTAINERD);
  if (led.size === 0) return warn(name, "no pulls are led to the proxy", LEAD_CONTAINERD);
  const message = `pulls of ${[...led].join(", ")} are led to the proxy`;
  return folder === ""
    ? warn(name, `${message} by files that containerd does not read`, "it has no config_path: see permanent fix")
    : ok(name, message);
}

function reasonFor({ missing, hostsFile: { isLink, foreign } }: ProxyFacts): string {
  if (missing.length > 0) return `: ${missing.join(" and ")} ${missing.length === 1 ? "is" : "are"} not installed`;
  if (isLink) return ": /etc/hosts is a symbolic link, which another program may own";
  if (foreign.length > 0) return `: /etc/hosts has '${foreign[0]}' already`;
  return "";
}

function remedyFor({ missing, hostsFile: { isLink, foreign }, seen, configFile }: ProxyFacts): string {
  if (missing.length > 0) return "install that; the redirect is tried again every minute";
  if (isLink) return "make it a file; the redirect is tried again every minute";
  if (foreign.length > 0) return `remove that line, or leave the registry out of proxy.hosts in ${configFile}`;
  return seen.state === undefined ? "they are, once the proxy runs" : AGAIN;
}

/** An Engine that pulls through an HTTPS proxy looks up no host that is not in its NO_PROXY. */
function checkBypassed({ hosts, httpsProxy, runtime }: ProxyFacts): Finding | undefined {
  const bypassed = proxiedHosts(hosts, httpsProxy);
  if (httpsProxy === undefined || bypassed.length === 0) return undefined;
  return warn(
    "redirect",
    `${runtime.short} pulls from ${bypassed.join(", ")} through ${httpsProxy.url}, past the registry proxy`,
    runtime.noProxyRemedy(bypassed),
  );
}
