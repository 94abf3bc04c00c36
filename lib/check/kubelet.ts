// Checks the kubelet: whether it answers, whether its certificate is trusted, whether it grants
// Gilly access, and whether its answer is a list of pods.

import { type PodList } from "../kubelet/pods.ts";
import { grantAfter, ROLES } from "../kubelet/rights.ts";
import { describeError } from "../support/errors.ts";
import { counted, several } from "../support/text.ts";
import type { Check } from "./context.ts";
import { renewalOf } from "./files/lent_files.ts";
import type { LentFile } from "./files/unit_file.ts";
import { fail, type Failed, type Finding, notAsked, ok, warn } from "./finding.ts";

/** Checks the kubelet. */
export const kubeletCheck: Check = async ({ node, pods, lentCa }) => {
  const { url, caFile } = node.config.kubelet;
  const answer = await pods();
  switch (answer.result) {
    case "unasked":
      return [notAsked("kubelet", "the files for it cannot be used")];
    case "answered":
      return checkPods(url, answer.value);
    case "failed": {
      const { error } = answer;
      // The finding already names the kubelet or the file, so only the cause is reported.
      const text = describeError(error.kind === "unreachable" || error.kind === "credentials" ? error.cause : error);
      return checkKubeletFailure(url, { kind: error.kind, text }, caFile, lentCa);
    }
  }
};

/**
 * The credentials that a kubelet accepts (kubernetes.io, "Kubelet authentication/authorization").
 */
const CREDENTIALS_ADVICE =
  "use a client certificate signed by the CA of the kubelet's --client-ca-file, or a service " +
  "account's token, if the kubelet runs with --authentication-token-webhook";

/** Returns the findings for a kubelet that answered. */
export function checkPods(url: string, { pods, malformed }: PodList): Finding[] {
  const answered = [ok("kubelet", `${url} answers`)];
  if (url.startsWith("https:")) {
    answered.push(ok("kubelet certificate", `trusted, and issued for ${hostOf(url)}`));
  }
  const understood = `${counted(pods.length, "pod")} understood`;
  if (malformed.length === 0) return [...answered, ok("kubelet pods", understood)];
  const message = `${understood}, ${malformed.length} not: ${several(malformed)}`;
  return [...answered, warn("kubelet pods", message, "these pods are skipped; the others are repaired")];
}

/**
 * Returns the findings for a kubelet that returned no pods. `caFile` is the path of its CAs, and
 * `failure.text` is the message from TLS, HTTP or Gilly.
 */
export function checkKubeletFailure(
  url: string,
  failure: Failed,
  caFile: string | undefined,
  lent?: LentFile,
): Finding[] {
  const { kind, text } = failure;
  const flaw = /invalid peer certificate: (.*)$/.exec(text)?.[1];
  if (flaw !== undefined) {
    return [ok("kubelet", `${url} answers`), checkServingCertificate(url, flaw, caFile, lent)];
  }
  if (kind === "unauthorized" || /received fatal alert: /.test(text)) {
    return [fail("kubelet access", text, CREDENTIALS_ADVICE)];
  }
  if (kind === "forbidden") return [fail("kubelet access", text, `${grantAfter(text)}; ${ROLES}`)];
  if (kind === "unexpected") {
    return [
      fail("kubelet pods", text, "is this the kubelet's port? It is 10250 unless the kubelet's config says otherwise"),
    ];
  }
  if (kind === "credentials") {
    return [fail("kubelet access", text, "fix the files that kubelet.* of the config names")];
  }
  return [
    fail("kubelet", `${url} does not answer: ${text}`, "is it running, and is this its port? systemctl status kubelet"),
  ];
}

/**
 * Returns what is wrong with the kubelet's serving certificate; `flaw` is the error from rustls.
 */
function checkServingCertificate(
  url: string,
  flaw: string,
  caFile: string | undefined,
  lent: LentFile | undefined,
): Finding {
  const name = "kubelet certificate";
  const host = hostOf(url);
  if (/UnknownIssuer/.test(flaw)) {
    const message = `${host} presents a certificate that ${
      lent?.source ?? caFile ?? "the system's list of authorities"
    } does not verify`;
    const which = "the cluster's CA, or /var/lib/kubelet/pki/kubelet.crt where the kubelet made its own";
    if (lent?.source !== undefined) {
      return fail(name, message, renewalOf(lent, `${lent.source} with its CA (${which})`));
    }
    const into = caFile === undefined ? "name its CA in kubelet.caFile" : `put its CA into ${caFile}`;
    return fail(name, message, `${into}: ${which}`);
  }
  const names = [...flaw.matchAll(/(?:DnsName|IpAddress)\("?([^")]+)"?\)/g)].map(([, name = ""]) => name);
  if (/not valid for name/.test(flaw)) {
    const others = names.length === 0 ? "another name" : several(names);
    const advice = names[0] === undefined ? "a name from its certificate" : url.replace(host, names[0]);
    return fail(name, `${host} presents a certificate issued for ${others}`, `write ${advice} into kubelet.url`);
  }
  if (/expired/.test(flaw)) {
    const remedy =
      "renew it; a self-signed one is regenerated if you remove both /var/lib/kubelet/pki/kubelet.crt and " +
      "kubelet.key and restart the kubelet";
    return fail(name, `${host} presents a certificate that has expired: ${flaw}`, remedy);
  }
  return fail(name, `${host} presents a certificate that cannot be used: ${flaw}`, "check it, and this host's clock");
}

function hostOf(url: string): string {
  return /^https?:\/\/(\[[^\]]*\]|[^:/]*)/i.exec(url)?.[1] ?? url;
}
