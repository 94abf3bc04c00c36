// Checks the files with which Gilly and the kubelet authenticate each other: whether they are
// usable and belong together, when they expire, and whether they grant more than Gilly needs.

import type { Config, ConfigMistake } from "../../config/config.ts";
import { KUBELET_FILES } from "../../config/keys.ts";
import { ENOUGH, ROLES } from "../../kubelet/rights.ts";
import type { CertificateFacts } from "../../support/certificate_facts.ts";
import { readCertificates } from "../../support/certificates.ts";
import { DENIED, describeError } from "../../support/errors.ts";
import { counted, several } from "../../support/text.ts";
import { dateOf, DAY_MS, expiry } from "../expiry.ts";
import { AS_ROOT, fail, type Finding, ok, warn } from "../finding.ts";
import { checkDrift, checkOutOfReach, type LentOptions, renewalOf } from "./lent_files.ts";
import type { LentFile } from "./unit_file.ts";

/** A certificate that expires in fewer days than this is a warning. */
export const FEW_DAYS = 14;

/**
 * Groups whose members may do everything in the cluster (kubeadm, certlist.go and its
 * ClusterRoleBindings).
 */
const ADMINISTRATORS: ReadonlySet<string> = new Set(["system:masters", "kubeadm:cluster-admins"]);

/**
 * The common name of the API server's client certificate from kubeadm, to which
 * system:kubelet-api-admin grants everything on every kubelet.
 */
const API_SERVER = "kube-apiserver-kubelet-client";

/** The kubelet's files, as a config with valid text names them. */
export interface KubeletFiles {
  readonly named: Config["kubelet"];
  /** Returns where to read a file, or undefined if nowhere. */
  readonly readAt: (path: string) => string | undefined;
  /** What is known about those that systemd loads as credentials, by path. */
  readonly lent: ReadonlyMap<string, LentFile>;
  /** The mistakes in files that cannot be used, the kubelet's and others. */
  readonly mistakes: readonly ConfigMistake[];
}

type KubeletFile = keyof typeof KUBELET_FILES;

/**
 * Checks the files at `now` (milliseconds since the epoch). They are `usable` if TLS can try them.
 */
export async function checkKubeletFiles(
  { named, readAt, lent, mistakes }: KubeletFiles,
  now: number,
  { nextStart = false }: LentOptions,
): Promise<{ readonly findings: readonly Finding[]; readonly usable: boolean }> {
  const lentAs = (key: KubeletFile) => lent.get(named[key] ?? "");
  const found = mistakes.map((mistake) =>
    checkFileMistake(mistake, lentAs(mistake.key.replace("kubelet.", "") as KubeletFile))
  );
  const broken = new Set(mistakes.map(({ key }) => key));
  for (const key of Object.keys(KUBELET_FILES) as KubeletFile[]) {
    const it = lentAs(key);
    if (it === undefined) continue;
    if (!nextStart) found.push(...checkDrift(`kubelet.${key}`, it));
    if (it.problem === undefined) continue;
    broken.add(`kubelet.${key}`);
    found.push(checkOutOfReach(`kubelet.${key}`, named[key]!, it));
  }
  /** Returns where to read a file, or undefined if it cannot be used. */
  const soundFile = (key: KubeletFile) => {
    const path = named[key];
    return path === undefined || broken.has(`kubelet.${key}`) ? undefined : readAt(path);
  };
  const [caFile, certFile, keyFile, tokenFile] = (["caFile", "certFile", "keyFile", "tokenFile"] as const).map(
    soundFile,
  );
  const authorities = await certificatesIn("kubelet.caFile", caFile, found);
  const [own] = await certificatesIn("kubelet.certFile", certFile, found) ?? [];
  const usable = ![...broken].some((key) => key.startsWith("kubelet.")) &&
    !found.some(({ name, verdict }) => name.startsWith("kubelet.") && verdict === "fail");
  if (authorities !== undefined) found.push(checkAuthorities(caFile!, authorities, now, lentAs("caFile")));
  if (own !== undefined) {
    found.push(checkClientCertificate(certFile!, own, now, lentAs("certFile")));
    if (keyFile !== undefined) found.push(ok("kubelet.keyFile", `${keyFile} belongs to the certificate`));
    found.push(checkRights(own));
  }
  if (tokenFile !== undefined) {
    const message = `${tokenFile} holds a token; only the cluster knows its rights: ${ENOUGH}`;
    found.push(ok("kubelet.tokenFile", message));
  }
  return { findings: found, usable };
}

async function certificatesIn(
  name: string,
  file: string | undefined,
  found: Finding[],
): Promise<CertificateFacts[] | undefined> {
  if (file === undefined) return undefined;
  try {
    return readCertificates(await Deno.readTextFile(file));
  } catch (error) {
    found.push(fail(name, `${file} cannot be used: ${describeError(error)}`, "put a PEM certificate there"));
    return undefined;
  }
}

/**
 * Returns the finding, named after the key, for a file that the config names and that cannot be
 * used.
 */
export function checkFileMistake({ file, line, key, message }: ConfigMistake, lent?: LentFile): Finding {
  if (message.includes(DENIED)) return fail(key, message, AS_ROOT);
  const change = `change ${line === undefined ? file : `${file}:${line}`}`;
  return fail(key, message, lent?.source === undefined ? `fix the file, or ${change}` : renewalOf(lent));
}

/** Checks the CAs for the kubelet's certificate. One that has not expired is enough. */
export function checkAuthorities(
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
    ? `put the current CA of the kubelet's serving certificate into ${file}; it is reloaded automatically`
    : renewalOf(lent, `${lent.source} with the current CA of the kubelet's serving certificate`);
  if (last <= now) return fail(name, message, remedy);
  return isSoon(last, now) ? warn(name, message, remedy) : ok(name, message);
}

/** Checks Gilly's client certificate for the kubelet. */
export function checkClientCertificate(file: string, leaf: CertificateFacts, now: number, lent?: LentFile): Finding {
  const name = "kubelet.certFile";
  const message = `${file} is ${subjectOf(leaf)}, ${expiry(leaf.notAfter, now)}`;
  const remedy = lent?.source === undefined
    ? "replace both files with a new certificate and its key; they are reloaded automatically"
    : renewalOf(lent, `${lent.source} and its key`);
  if (leaf.notBefore > now) {
    return fail(name, `${file} is not valid before ${dateOf(leaf.notBefore)}`, "check this host's clock");
  }
  if (leaf.notAfter <= now) return fail(name, message, remedy);
  return isSoon(leaf.notAfter, now) ? warn(name, message, remedy) : ok(name, message);
}

/**
 * Checks whether the certificate grants more than the list of this node's pods, judged by its
 * subject alone. The subject's rights in the cluster are not known here. Testing them would take a
 * request that is refused where Gilly has the least rights, and that would be in the audit log as a
 * violation.
 */
export function checkRights(leaf: CertificateFacts): Finding {
  const name = "kubelet rights";
  const groups = leaf.organizations.filter((group) => ADMINISTRATORS.has(group));
  const remedy = `issue a certificate for a user of Gilly's own: ${ENOUGH}; ${ROLES}`;
  if (groups.length > 0) {
    const message = `the certificate belongs to ${several(groups)}, who may do everything in the cluster`;
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
    }${groupsOf} is not a known administrator; only the cluster knows its rights: ${ENOUGH}`,
  );
}

function isSoon(notAfter: number, now: number): boolean {
  return notAfter - now < FEW_DAYS * DAY_MS;
}

function subjectOf({ commonName, organizations }: CertificateFacts): string {
  return [...organizations.map((name) => `O=${name}`), `CN=${commonName}`].join(", ");
}
