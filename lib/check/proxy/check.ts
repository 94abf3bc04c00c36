// Checks the registry proxy, where it is installed: whether it runs and answers, and whether the
// runtime's pulls are led to it.

import { reasonOf } from "../../config/files.ts";
import type { ProxySettings } from "../../proxy/settings.ts";
import { CERTS_FOLDER } from "../../proxy/trust.ts";
import { foreignIn, HOSTS_FILE, redirectedIn } from "../../status/hosts_file.ts";
import { leadingOf, ledHosts } from "../../status/led_hosts.ts";
import { isProxyInstalled } from "../../status/proxy_installed.ts";
import { seeProxy } from "../../status/state_file.ts";
import type { CertificateFacts } from "../../support/certificate_facts.ts";
import { ClientCertificateError, namesWithout, readCertificates } from "../../support/certificates.ts";
import type { Check } from "../context.ts";
import { checkProxy, type ProxyFacts } from "./findings.ts";
import { silenceAt } from "./tls_probe.ts";

const PROGRAM_FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** Checks the proxy; no findings where it is not installed. */
export const proxyCheck: Check = async ({ node: { config, runtime }, process, info, proxyStateFile }) => {
  const { proxy } = config;
  const now = process.clock.wallTime();
  const isDocker = config.runtime.kind === "docker";
  const [seen, certificate, hostsFile, redirected, answer] = await Promise.all([
    seeProxy(proxyStateFile, now),
    readCertificate(proxy.certFile, proxy.hosts),
    isDocker ? readHostsFile(proxy.hosts) : NO_HOSTS_FILE,
    ledHosts(leadingOf(config)),
    info(),
  ]);
  if (!await isProxyInstalled({ certFile: proxy.certFile, state: seen.state, redirected })) return [];
  return checkProxy({
    now,
    hosts: proxy.hosts,
    listen: `${proxy.listen.hostname}:${proxy.listen.port}`,
    way: `${proxy.address}:443`,
    configFile: config.file,
    seen,
    certificate: { file: proxy.certFile, ...certificate ?? { problem: "does not exist" } },
    silent: await silenceOf(proxy, certificate, isDocker),
    hostsFile,
    untrusted: await untrustedHosts(proxy.hosts, certificate),
    missing: await missingPrograms(),
    runtime: runtime.advice,
    httpsProxy: answer.result === "answered" ? answer.value.httpsProxy : undefined,
    ...(!isDocker && {
      files: { led: redirected, folder: answer.result === "answered" ? answer.value.mirrorsFolder : undefined },
    }),
  });
};

type Certificate =
  | { readonly pem: string; readonly facts: CertificateFacts; readonly notFor: readonly string[] }
  | { readonly problem: string };

/** Returns the proxy's certificate, or what is wrong with it; undefined if there is none. */
async function readCertificate(file: string, hosts: readonly string[]): Promise<Certificate | undefined> {
  try {
    const pem = await Deno.readTextFile(file);
    return { pem, facts: readCertificates(pem)[0]!, notFor: namesWithout(pem, hosts) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    return { problem: error instanceof ClientCertificateError ? `cannot be used: ${error.message}` : reasonOf(error) };
  }
}

const NO_HOSTS_FILE: ProxyFacts["hostsFile"] = { isLink: false, redirected: new Set(), foreign: [] };

async function readHostsFile(hosts: readonly string[]): Promise<ProxyFacts["hostsFile"]> {
  try {
    const [{ isSymlink }, text] = await Promise.all([Deno.lstat(HOSTS_FILE), Deno.readTextFile(HOSTS_FILE)]);
    return { isLink: isSymlink, redirected: redirectedIn(text), foreign: foreignIn(text, hosts) };
  } catch {
    return NO_HOSTS_FILE;
  }
}

async function silenceOf(
  { listen, address, hosts }: ProxySettings,
  certificate: Certificate | undefined,
  hasWay: boolean,
): Promise<ProxyFacts["silent"]> {
  const [host] = hosts;
  if (host === undefined || certificate === undefined || "problem" in certificate) {
    return { here: undefined, way: undefined };
  }
  const probe = { host, certificatePem: certificate.pem };
  const [here, way] = await Promise.all([
    silenceAt({ ...probe, address: listen.hostname, port: listen.port }),
    hasWay ? silenceAt({ ...probe, address, port: 443 }) : undefined,
  ]);
  return { here, way };
}

/** Docker trusts the copies that gilly-redirect makes. */
async function untrustedHosts(hosts: readonly string[], certificate: Certificate | undefined): Promise<string[]> {
  if (certificate === undefined || "problem" in certificate) return [];
  const trusted = await Promise.all(hosts.map(async (host) => {
    const copy = await Deno.readTextFile(`${CERTS_FOLDER}/${host}/gilly.crt`).catch(() => "");
    return copy.includes(certificate.pem.trim());
  }));
  return hosts.filter((_, index) => !trusted[index]);
}

/** The programs of gilly-redirect that are not on this host. */
async function missingPrograms(): Promise<string[]> {
  const found = async (name: string) => {
    const places = PROGRAM_FOLDERS.map((folder) => Deno.stat(`${folder}/${name}`).then(() => true, () => false));
    return (await Promise.all(places)).includes(true);
  };
  const [openssl, iptables, nft] = await Promise.all(["openssl", "iptables", "nft"].map(found));
  return [...(openssl ? [] : ["openssl"]), ...(iptables || nft ? [] : ["iptables"])];
}
