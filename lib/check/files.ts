// Judges the config and the files it names: are they readable, do they belong together, how long do they last, and do
// they open more than Gilly needs. Pure: it is told what stands in them, never a secret.

import { ENOUGH, ROLES } from "../kubelet/rights.ts";
import type { RuntimeAdvice } from "../runtime/advice.ts";
import type { CertificateFacts } from "../support/certificate_facts.ts";
import { DENIED } from "../support/errors.ts";
import { counted, several } from "../support/text.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";
import type { LentFile } from "./unit_file.ts";

const DAY_MS = 86_400_000;

/** A certificate that lasts no longer than this is a warning. */
export const FEW_DAYS = 14;

/** What to do about files that only root and the daemon may read. */
export const AS_ROOT = "run it as root: sudo gilly check";

/** A file with a secret that users of this host may read or change by its permission bits, the owner's group left out. */
export function judgeSecretFile(key: string, file: string, mode: number): Finding | undefined {
  if ((mode & 0o006) === 0) return undefined;
  const bits = (mode & 0o777).toString(8).padStart(4, "0");
  const message = `${file} holds a secret, and its mode ${bits} opens it to every user of this host`;
  return warn(key, message, `chmod o= ${file}`);
}

/** What the environment says of proxies, where it names any (names of variables): Gilly has ignored them. */
export function judgeProxies(variables: readonly string[], { called, proxyHint }: RuntimeAdvice): Finding[] {
  if (variables.length === 0) return [];
  const message = `${variables.join(", ")} ${variables.length === 1 ? "names" : "name"} a proxy; ` +
    `Gilly does not use it: the kubelet and ${called} are asked directly`;
  return [warn("proxy", message, `if the mirrors are behind it, ${proxyHint}`)];
}

/** Groups whose members may do everything in the cluster (kubeadm, certlist.go and its ClusterRoleBindings). */
const ADMINISTRATORS: ReadonlySet<string> = new Set(["system:masters", "kubeadm:cluster-admins"]);

/** kubeadm's certificate of the API server, which system:kubelet-api-admin lets do anything with every kubelet. */
const API_SERVER = "kube-apiserver-kubelet-client";

/** A mistake of the config, as ConfigError has them. */
export interface Mistake {
  readonly file: string;
  readonly line: number | undefined;
  readonly key: string;
  readonly message: string;
}

/** A config that is in order. */
export function judgeConfig({ file, registries }: { file: string; registries: readonly unknown[] }): Finding {
  return ok("config", `${file} is in order, with ${counted(registries.length, "rule")}`);
}

/** A config that is refused, mistake by mistake. */
export function judgeMistakes(mistakes: readonly Mistake[]): Finding[] {
  return mistakes.map(({ file, line, key, message }) => {
    const place = line === undefined ? file : `${file}:${line}`;
    return fail("config", [place, key, message].filter((part) => part !== "").join(": "), adviceOn(line, key, message));
  });
}

function adviceOn(line: number | undefined, key: string, message: string): string {
  if (message.includes(DENIED)) return AS_ROOT;
  if (line !== undefined) return "mend that line";
  return key === "" ? "write one there, or name the one that is meant with --config FILE" : "add it";
}

/** A file that the config names and that cannot be used; what the mistake says stands under its key. */
export function judgeFileMistake({ file, line, key, message }: Mistake, lent?: LentFile): Finding {
  if (message.includes(DENIED)) return fail(key, message, AS_ROOT);
  const change = `change ${line === undefined ? file : `${file}:${line}`}`;
  return fail(key, message, lent?.source === undefined ? `mend the file, or ${change}` : renewalOf(lent));
}

/** A file that systemd lends to the service and that nobody could read here. */
export function judgeOutOfReach(key: string, path: string, { unit, problem = "", unknown }: LentFile): Finding {
  if (unknown) {
    return fail(key, `${path} is lent by nobody: ${problem}`, `add that line: systemctl edit ${nameOf(unit)}`);
  }
  const remedy = problem.includes(DENIED) ? AS_ROOT : `check again while it runs: systemctl start ${nameOf(unit)}`;
  return warn(key, `${path} was not checked: ${problem}`, remedy);
}

/** Whether the service runs with what its files hold now. */
export function judgeDrift(key: string, { unit, source, drift, watched }: LentFile): Finding[] {
  const restart = `systemctl restart ${nameOf(unit)}`;
  if (drift === undefined) return [];
  if (drift === "gone") {
    const message = `${source}, of which ${unit} has a copy, does not exist: its next start will fail`;
    return [warn(key, message, `put it back, or correct its LoadCredential= line: systemctl edit ${nameOf(unit)}`)];
  }
  const message = `${source} was replaced, and ${unit} still runs with the old one`;
  return [warn(key, message, watched ? `${restart}; journalctl -u gilly-renew -n 20 says why it was not` : restart)];
}

/** Whether the next start of the service would bring other files into use. */
export function judgeRenewal(renewed: boolean): Finding {
  const name = "renewal";
  return renewed
    ? ok(name, "a start of the service brings other files into use than it runs with")
    : fail(name, "the service runs with these files already", "nothing is to be done");
}

/** What a person does to put another file there: systemd copies those that it lends when the service starts. */
export function renewalOf({ unit, source, watched, at }: LentFile, what = source): string {
  return watched && at !== source
    ? `replace ${what}; gilly-renew.path then restarts the service`
    : `replace ${what}, then: systemctl restart ${nameOf(unit)}`;
}

function nameOf(unit: string): string {
  return unit.replace(/\.service$/, "");
}

/** The authorities that the kubelet's certificate is checked against. One that still lasts is enough. */
export function judgeAuthorities(
  file: string,
  certificates: readonly CertificateFacts[],
  now: number,
  lent?: LentFile,
): Finding {
  const name = "kubelet.caFile";
  const last = Math.max(...certificates.map(({ notAfter }) => notAfter));
  const expired = certificates.filter(({ notAfter }) => notAfter <= now).length;
  const some = expired > 0 && expired < certificates.length ? `, ${expired} of them expired` : "";
  const message = `${file} has ${counted(certificates.length, "certificate")}${some}, ${expiry(last, now)}`;
  const remedy = lent?.source === undefined
    ? `put the current CA of the kubelet's serving certificate into ${file}; it is read again by itself`
    : renewalOf(lent, `${lent.source} by the current CA of the kubelet's serving certificate`);
  if (last <= now) return fail(name, message, remedy);
  return isSoon(last, now) ? warn(name, message, remedy) : ok(name, message);
}

/** The certificate by which Gilly proves itself to the kubelet. */
export function judgeClientCertificate(file: string, leaf: CertificateFacts, now: number, lent?: LentFile): Finding {
  const name = "kubelet.certFile";
  const message = `${file} is ${subjectOf(leaf)}, ${expiry(leaf.notAfter, now)}`;
  const remedy = lent?.source === undefined
    ? "put a new certificate and its key into the place of the old ones; they are read again by themselves"
    : renewalOf(lent, `${lent.source} and its key`);
  if (leaf.notBefore > now) {
    return fail(name, `${file} is not valid before ${dateOf(leaf.notBefore)}`, "check this host's clock");
  }
  if (leaf.notAfter <= now) return fail(name, message, remedy);
  return isSoon(leaf.notAfter, now) ? warn(name, message, remedy) : ok(name, message);
}

/**
 * Whether the certificate opens more than the list of this node's pods, as far as its subject tells. What the cluster
 * grants to the subject is not known here: to try it would be a request that a node with the least rights refuses, and
 * that its audit log holds against Gilly.
 */
export function judgeRights(leaf: CertificateFacts): Finding {
  const name = "kubelet rights";
  const groups = leaf.organizations.filter((group) => ADMINISTRATORS.has(group));
  const remedy = `issue a certificate for a user of its own: ${ENOUGH}; ${ROLES}`;
  if (groups.length > 0) {
    const message = `the certificate is one of ${several(groups)}, who may do everything in the cluster`;
    return warn(name, message, remedy);
  }
  if (leaf.commonName === API_SERVER) {
    return warn(name, "the certificate is the API server's own, which may run commands in every container", remedy);
  }
  const groupsOf = leaf.organizations.length === 0 ? "" : ` of ${several(leaf.organizations)}`;
  return ok(
    name,
    `${
      leaf.commonName || "the certificate"
    }${groupsOf} is no known administrator; only the cluster knows its rights: ${ENOUGH}`,
  );
}

/** `expires in 9 days (2026-12-02)`. */
export function expiry(notAfter: number, now: number): string {
  const days = Math.floor(Math.abs(notAfter - now) / DAY_MS);
  const span = days === 0 ? "less than a day" : counted(days, "day");
  return notAfter <= now ? `expired ${span} ago (${dateOf(notAfter)})` : `expires in ${span} (${dateOf(notAfter)})`;
}

function isSoon(notAfter: number, now: number): boolean {
  return notAfter - now < FEW_DAYS * DAY_MS;
}

function dateOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

function subjectOf({ commonName, organizations }: CertificateFacts): string {
  return [...organizations.map((name) => `O=${name}`), `CN=${commonName}`].join(", ");
}
