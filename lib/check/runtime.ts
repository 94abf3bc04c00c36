// Checks the container runtime: whether it answers, which one it is, and whether it could use the
// mirrors itself.

import { otherRuntime, type RuntimeAdvice, type RuntimeInfo } from "../runtime/advice.ts";
import { type Check, runtimeFailure } from "./context.ts";
import { AS_ROOT, fail, type Failed, type Finding, ok } from "./finding.ts";

/** Checks whether the runtime answers, and which one it is. */
export const runtimeCheck: Check = async ({ node: { runtime: { advice } }, info, pods, signal }) => {
  const [answer, list] = await Promise.all([info(), pods()]);
  const other = list.result === "answered" ? checkKubelets(advice, list.value.runtime) : [];
  if (answer.result === "answered") return [...checkInfo(advice, answer.value), ...other];
  if (answer.result === "unasked") return other;
  return [
    ...checkRuntimeFailure(advice, runtimeFailure(answer.error, signal), await groupOf(advice.socket)),
    ...other,
  ];
};

/** Returns a finding if the kubelet uses another runtime; see PodList. */
export function checkKubelets(advice: RuntimeAdvice, kubelets: string | undefined): Finding[] {
  if (kubelets === undefined || kubelets === advice.scheme) return [];
  const { message, remedy } = otherRuntime(kubelets, advice);
  return [fail("runtime of the kubelet", message, remedy)];
}

/** Checks whether the runtime could use the mirrors itself, so that Gilly is not needed. */
export const permanentFixCheck: Check = async ({ node: { runtime: { advice } }, info }) => {
  const answer = await info();
  if (answer.result !== "answered") return [];
  const { message, remedy } = advice.permanentFix(answer.value);
  return [ok("permanent fix", message, remedy)];
};

/** Returns the findings for a runtime that answered. */
export function checkInfo({ findings, socket }: RuntimeAdvice, info: RuntimeInfo): Finding[] {
  return [
    ok(findings.socket, `${socket} answers`),
    ok(findings.runtime, `${info.name} ${info.version}, API ${info.apiVersion}`),
    ok("image store", info.imageStore),
  ];
}

/**
 * Returns the findings for a runtime that did not answer. `group` is the group of its socket: the
 * name, or the number if it has no name.
 */
export function checkRuntimeFailure(advice: RuntimeAdvice, { text }: Failed, group: string | undefined): Finding[] {
  const { findings, remedies, socket } = advice;
  if (/permission denied/i.test(text)) {
    const whose = group === undefined ? "" : `: it belongs to the group ${group}, which this user is not in`;
    const service = "if the service cannot open it either: run install.sh again, which finds how it may";
    return [fail(findings.socket, `no permission to open ${socket}${whose}`, `${AS_ROOT}; ${service}`)];
  }
  if (/no such file/i.test(text)) return [fail(findings.socket, `${socket} does not exist`, remedies.noSocket)];
  if (/connection refused/i.test(text)) {
    return [fail(findings.socket, `nothing listens on ${socket}`, remedies.notListening)];
  }
  return [fail(findings.runtime, text, remedies.failed)];
}

/** Returns the name of the socket's group, or its number if it has no name. */
async function groupOf(socket: string): Promise<string | undefined> {
  try {
    const { gid } = await Deno.stat(socket);
    const groups = (await Deno.readTextFile("/etc/group")).split("\n").map((line) => line.split(":"));
    return groups.find(([, , id]) => Number(id) === gid)?.[0] ?? String(gid);
  } catch {
    return undefined;
  }
}
