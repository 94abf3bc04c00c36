// Judges the node itself: does its kubelet answer us with pods, does its container runtime answer, and what of this node's
// containers is out of reach. Pure: answers and failures in, findings out.

import { type Pod, type PodList, podName } from "../kubelet/pods.ts";
import { grantAfter, ROLES } from "../kubelet/rights.ts";
import type { UnrepairableReason } from "../plan/outcome.ts";
import { effectivePolicy, isRefusal, type PlanContext, planImage } from "../plan/plan.ts";
import type { RuntimeAdvice, RuntimeInfo } from "../runtime/advice.ts";
import { counted, several } from "../support/text.ts";
import { AS_ROOT, renewalOf } from "./files.ts";
import { fail, type Failed, type Finding, ok, warn } from "./finding.ts";
import type { LentFile } from "./unit_file.ts";

/** What a kubelet accepts (kubernetes.io, "Kubelet authentication/authorization"). */
const CREDENTIALS_ADVICE =
  "use a client certificate signed by the CA of the kubelet's --client-ca-file, or a service " +
  "account's token, which the kubelet must be set to have checked (--authentication-token-webhook)";

/** A kubelet that answered: reached, trusted, understood. */
export function judgeKubelet(url: string, { pods, malformed }: PodList): Finding[] {
  const answered = [ok("kubelet", `${url} answers`)];
  if (url.startsWith("https:")) {
    answered.push(ok("kubelet certificate", `trusted, and made out to ${hostOf(url)}`));
  }
  const understood = `${counted(pods.length, "pod")} understood`;
  if (malformed.length === 0) return [...answered, ok("kubelet pods", understood)];
  const message = `${understood}, ${malformed.length} not: ${several(malformed)}`;
  return [...answered, warn("kubelet pods", message, "these pods are left out; the others are repaired")];
}

/** A kubelet that gave no pods; `caFile` is where its authorities are, `failure.text` what TLS, HTTP or we said of it. */
export function judgeKubeletFailure(
  url: string,
  failure: Failed,
  caFile: string | undefined,
  lent?: LentFile,
): Finding[] {
  const { kind, text } = failure;
  const flaw = /invalid peer certificate: (.*)$/.exec(text)?.[1];
  if (flaw !== undefined) {
    return [ok("kubelet", `${url} answers`), judgeServingCertificate(url, flaw, caFile, lent)];
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
    return [fail("kubelet access", text, "mend the files that kubelet.* of the config names")];
  }
  return [
    fail("kubelet", `${url} does not answer: ${text}`, "is it running, and is this its port? systemctl status kubelet"),
  ];
}

/** What is wrong with the certificate that the kubelet shows; `flaw` is rustls's word for it. */
function judgeServingCertificate(
  url: string,
  flaw: string,
  caFile: string | undefined,
  lent: LentFile | undefined,
): Finding {
  const name = "kubelet certificate";
  const host = hostOf(url);
  if (/UnknownIssuer/.test(flaw)) {
    const message = `${host} shows a certificate that ${
      lent?.source ?? caFile ?? "the system's list of authorities"
    } does not vouch for`;
    const which = "the cluster's CA, or /var/lib/kubelet/pki/kubelet.crt where the kubelet made its own";
    if (lent?.source !== undefined) return fail(name, message, renewalOf(lent, `${lent.source} by its CA (${which})`));
    const into = caFile === undefined ? "name its CA in kubelet.caFile" : `put its CA into ${caFile}`;
    return fail(name, message, `${into}: ${which}`);
  }
  const names = [...flaw.matchAll(/(?:DnsName|IpAddress)\("?([^")]+)"?\)/g)].map(([, name = ""]) => name);
  if (/not valid for name/.test(flaw)) {
    const others = names.length === 0 ? "another name" : several(names);
    const advice = names[0] === undefined ? "a name of its certificate" : url.replace(host, names[0]);
    return fail(name, `${host} shows a certificate made out to ${others}`, `write ${advice} into kubelet.url`);
  }
  if (/expired/.test(flaw)) {
    const remedy =
      "renew it; one that the kubelet made itself is made anew if you remove both /var/lib/kubelet/pki/kubelet.crt and " +
      "kubelet.key and restart the kubelet";
    return fail(name, `${host} shows a certificate that has expired: ${flaw}`, remedy);
  }
  return fail(name, `${host} shows a certificate that cannot be used: ${flaw}`, "check it, and this host's clock");
}

/** A runtime that answered. */
export function judgeRuntime({ findings, socket }: RuntimeAdvice, info: RuntimeInfo): Finding[] {
  return [
    ok(findings.socket, `${socket} answers`),
    ok(findings.runtime, `${info.name} ${info.version}, API ${info.apiVersion}`),
    ok("image store", info.imageStore),
  ];
}

/** A runtime that did not; `group` is the group of its socket, by name if it has one. */
export function judgeRuntimeFailure(advice: RuntimeAdvice, { text }: Failed, group: string | undefined): Finding[] {
  const { findings, hints, socket } = advice;
  if (/permission denied/i.test(text)) {
    const whose = group === undefined ? "" : `: it belongs to the group ${group}, which this user is not in`;
    const service = `if the service may not either: SupplementaryGroups=${group ?? "GROUP"} (systemctl edit gilly)`;
    return [fail(findings.socket, `${socket} may not be opened${whose}`, `${AS_ROOT}; ${service}`)];
  }
  if (/no such file/i.test(text)) return [fail(findings.socket, `${socket} does not exist`, hints.noSocket)];
  if (/connection refused/i.test(text)) {
    return [fail(findings.socket, `nobody listens at ${socket}`, hints.notListening)];
  }
  return [fail(findings.runtime, text, hints.failed)];
}

/** A container that is left alone, as the plan has it. */
export interface LeftAlone {
  /** `namespace/name` of its pod. */
  readonly pod: string;
  readonly reason: UnrepairableReason;
  readonly advice: string;
}

/** What the pods wait for now, and whether it can be repaired. */
export function judgeWaiting(pods: number, waiting: number, leftAlone: readonly LeftAlone[]): Finding {
  const name = "waiting pods";
  if (waiting === 0) return ok(name, `no container of ${counted(pods, "pod")} waits for an image`);
  const subject = `${counted(waiting, "container")} of ${counted(pods, "pod")} ${waiting === 1 ? "waits" : "wait"}`;
  // The operator who excluded it knows.
  const lost = leftAlone.filter(({ reason }) => reason !== "excluded");
  const excluded = leftAlone.length - lost.length;
  const message = `${subject} for an image${excluded > 0 ? `, ${excluded} of them excluded` : ""}`;
  if (lost.length === 0) return ok(name, `${message}; the daemon repairs what no one excluded`);
  const reasons = new Set(lost.map(({ reason }) => reason));
  const advice = reasons.size === 1 ? lost[0]!.advice : "gilly once --dry-run says what to do about each";
  const which = several([...new Set(lost.map(({ pod, reason }) => `${pod} (${reason})`))]);
  return warn(name, `${message}; cannot be repaired: ${which}`, advice);
}

/** What no local image can cure: containers of this node with the policy Always, or with digests on a classic store. */
export function judgeReach(
  pods: readonly Pod[],
  context: Pick<PlanContext, "registries" | "exclusions" | "canAliasDigest">,
): Finding[] {
  const always: string[] = [];
  const digests: string[] = [];
  for (const { pod, image, policy } of containersOf(pods)) {
    const planned = planImage(image, { ...context, canAliasDigest: undefined });
    // What no rule covers is pulled from where it comes from, and needs no repair.
    if (isRefusal(planned)) continue;
    if (effectivePolicy(policy, planned.reference) === "Always") always.push(pod);
    else if (planned.reference.digest !== undefined) digests.push(pod);
  }
  return [judgeAlways(always), ...judgeDigests(digests, context.canAliasDigest)];
}

function containersOf(pods: readonly Pod[]) {
  return pods.filter(({ ended, optedOut }) => !ended && !optedOut).flatMap((pod) =>
    pod.containers.map(({ image, imagePullPolicy }) => ({ pod: podName(pod), image, policy: imagePullPolicy }))
  );
}

function judgeAlways(pods: readonly string[]): Finding {
  const name = "imagePullPolicy Always";
  const beyond = "cannot be repaired, since the kubelet asks the original registry even if the image is here";
  if (pods.length === 0) return ok(name, `${beyond}; no container here has it under a rule`);
  return warn(name, `${beyond}; ${affected(pods)}`, "set imagePullPolicy: IfNotPresent");
}

function judgeDigests(pods: readonly string[], canAliasDigest: boolean | undefined): Finding[] {
  const name = "digests";
  if (canAliasDigest === undefined) return [];
  if (canAliasDigest) return [ok(name, "name@sha256:… can be repaired on this image store")];
  const beyond = "name@sha256:… cannot be repaired on this image store";
  if (pods.length === 0) return [ok(name, `${beyond}; no container here has one under a rule`)];
  return [warn(name, `${beyond}; ${affected(pods)}`, "use a tag, or the containerd image store")];
}

function affected(pods: readonly string[]): string {
  const verb = pods.length === 1 ? "has" : "have";
  return `${counted(pods.length, "container")} here ${verb} it: ${several([...new Set(pods)])}`;
}

function hostOf(url: string): string {
  return /^https?:\/\/(\[[^\]]*\]|[^:/]*)/i.exec(url)?.[1] ?? url;
}
