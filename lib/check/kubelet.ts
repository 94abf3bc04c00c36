// Checks the kubelet: whether it answers, whether its certificate is trusted, whether it grants
// Gilly access, and whether its answer is a list of pods.

import type { KubeletSettings } from "../kubelet/client.ts";
import { type PodList } from "../kubelet/pods.ts";
import { grantAfter, ROLES } from "../kubelet/rights.ts";
import { AUTHORITYS_OWN, selfSignedCommand } from "../kubelet/serving_certificate.ts";
import { networkFaultIn } from "../runtime/network_texts.ts";
import { describeError } from "../support/errors.ts";
import { counted, several } from "../support/text.ts";
import type { Check } from "./context.ts";
import { renewalOf } from "./files/lent_files.ts";
import type { LentFile } from "./files/unit_file.ts";
import { fail, type Failed, type Finding, notAsked, ok, warn } from "./finding.ts";

/** Checks the kubelet. */
export const kubeletCheck: Check = async ({ node, pods, lentCa }) => {
  const settings = node.config.kubelet;
  const answer = await pods();
  switch (answer.result) {
    case "unasked":
      return [notAsked("kubelet", "the files for it cannot be used")];
    case "answered":
      return checkPods(settings.url, answer.value);
    case "failed": {
      const { error } = answer;
      // The finding already names the kubelet or the file, so only the cause is reported.
      const text = describeError(error.kind === "unreachable" || error.kind === "credentials" ? error.cause : error);
      return checkKubeletFailure(settings, { kind: error.kind, text }, lentCa);
    }
  }
};

/**
 * The client certificates that a kubelet accepts (kubernetes.io, "Kubelet authentication/authorization").
 */
const CERTIFICATE_ADVICE = "use a client certificate, for clientAuth, that is signed by the CA of the kubelet's " +
  "--client-ca-file (clientCAFile of its config)";

/** Where to look if the kubelet rejects the credentials; see `kubelet` in docs/config.md. */
function credentialsAdvice({ certFile, tokenFile }: KubeletSettings): string {
  if (tokenFile !== undefined) {
    return `if the token of ${tokenFile} has expired, create another (kubectl create token); the kubelet verifies ` +
      "tokens only with authentication.webhook (--authentication-token-webhook), and only while the API server answers";
  }
  return certFile === undefined
    ? "the kubelet requires credentials: configure kubelet.certFile and keyFile, or kubelet.tokenFile"
    : CERTIFICATE_ADVICE;
}

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
 * Returns the findings for a kubelet that returned no pods; `failure.text` is the message from TLS, HTTP
 * or Gilly.
 */
export function checkKubeletFailure(settings: KubeletSettings, failure: Failed, lent?: LentFile): Finding[] {
  const { url, caFile } = settings;
  const { kind, text } = failure;
  const flaw = /invalid peer certificate: (.*)$/.exec(text)?.[1];
  if (flaw !== undefined) {
    return [ok("kubelet", `${url} answers`), checkServingCertificate(url, flaw, caFile, lent)];
  }
  if (kind === "unauthorized") return [fail("kubelet access", text, credentialsAdvice(settings))];
  if (kind === "forbidden") return [fail("kubelet access", text, `${grantAfter(text)}; ${ROLES}`)];
  if (kind === "unexpected") {
    const isPlain = networkFaultIn(text) === "tls-on-plain";
    const remedy = isPlain
      ? `the kubelet speaks HTTPS there: write ${url.replace(/^http:/, "https:")} into kubelet.url`
      : "is this the kubelet's port? It is 10250 unless the kubelet's config says otherwise";
    return [fail("kubelet pods", text, remedy)];
  }
  if (kind === "credentials") {
    return [fail("kubelet access", text, "fix the files that kubelet.* of the config names")];
  }
  return [checkUnreachable(url, text)];
}

function checkUnreachable(url: string, text: string): Finding {
  const host = hostOf(url);
  switch (networkFaultIn(text)) {
    case "client-certificate":
      return fail("kubelet access", text, CERTIFICATE_ADVICE);
    case "server-name": {
      const remedy =
        "if it has serverTLSBootstrap, its request waits for you: kubectl get csr, then kubectl certificate " +
        "approve; journalctl -u kubelet -n 20 says more";
      return fail("kubelet certificate", `${host} has no serving certificate to present: ${text}`, remedy);
    }
    case "tls-version":
    case "handshake": {
      const remedy = "Gilly speaks TLS 1.2 and 1.3: see tlsMinVersion and tlsCipherSuites of the kubelet's config";
      return fail("kubelet", `${url} refuses TLS with Gilly: ${text}`, remedy);
    }
    case "plain-http": {
      const remedy = "is this the read-only port, 10255? The kubelet itself listens on 10250";
      return fail("kubelet", `${url} speaks plain HTTP: ${text}`, remedy);
    }
    case "dns":
      return fail("kubelet", `${url} does not answer: ${text}`, `check the host of kubelet.url: getent hosts ${host}`);
    default: {
      const remedy = "is it running, and is this its port? systemctl status kubelet";
      return fail("kubelet", `${url} does not answer: ${text}`, remedy);
    }
  }
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
  const fault = networkFaultIn(`invalid peer certificate: ${flaw}`);
  if (fault === "unknown-issuer") return checkUnknownIssuer(host, caFile, lent);
  const names = [...flaw.matchAll(/(?:DnsName|IpAddress)\("?([^")]+)"?\)/g)].map(([, name = ""]) => name);
  switch (fault) {
    case "ca-as-server":
      return fail(
        name,
        `${host} presents a certificate that ${AUTHORITYS_OWN}`,
        `make another: ${selfSignedCommand(host)}; then restart the kubelet, and put a copy into kubelet.caFile`,
      );
    case "common-name": {
      const remedy = `it needs a new one: a Common Name does not count, only subjectAltName does`;
      return fail(name, `${host} presents a certificate that is issued for no name: ${flaw}`, remedy);
    }
    case "other-name": {
      const others = names.length === 0 ? "another name" : several(names);
      const advice = names[0] === undefined ? "a name from its certificate" : url.replace(host, names[0]);
      return fail(name, `${host} presents a certificate issued for ${others}`, `write ${advice} into kubelet.url`);
    }
    case "expired": {
      const remedy =
        "renew it; a self-signed one is regenerated if you remove both /var/lib/kubelet/pki/kubelet.crt and " +
        "kubelet.key and restart the kubelet";
      return fail(name, `${host} presents a certificate that has expired: ${flaw}`, remedy);
    }
    case "not-yet-valid": {
      const remedy = "check this host's clock (date); if it is right, the certificate was made by one that is ahead";
      return fail(name, `${host} presents a certificate that is not valid yet: ${flaw}`, remedy);
    }
    case "weak":
    case "outdated-form": {
      const form = "of X.509 version 3, with RSA of 2048 bits or an elliptic curve, and SHA-256";
      return fail(
        name,
        `${host} presents a certificate that TLS no longer accepts: ${flaw}`,
        `it needs one ${form}, as this makes it: ${selfSignedCommand(host)}`,
      );
    }
    case "wrong-usage": {
      const remedy = "it needs one for servers: extendedKeyUsage serverAuth";
      return fail(name, `${host} presents a certificate that is not for servers: ${flaw}`, remedy);
    }
    default: {
      const remedy = `the cause is not known to Gilly: openssl s_client -showcerts -connect ${
        url.replace(/^\w+:\/\//, "")
      }`;
      return fail(name, `${host} presents a certificate that cannot be used: ${flaw}`, remedy);
    }
  }
}

function checkUnknownIssuer(host: string, caFile: string | undefined, lent: LentFile | undefined): Finding {
  const name = "kubelet certificate";
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

function hostOf(url: string): string {
  return /^https?:\/\/(\[[^\]]*\]|[^:/]*)/i.exec(url)?.[1] ?? url;
}
