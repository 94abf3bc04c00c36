// Checks the container runtime: whether it answers, which one it is, and whether it could use the
// mirrors itself.

import { otherRuntime, type RuntimeAdvice, type RuntimeInfo, type SocketFault } from "../runtime/advice.ts";
import { type Check, runtimeFailure } from "./context.ts";
import { AS_ROOT, fail, type Finding, ok } from "./finding.ts";

/** Checks whether the runtime answers, and which one it is. */
export const runtimeCheck: Check = async ({ node: { runtime: { advice } }, info, pods, signal }) => {
  const [answer, list] = await Promise.all([info(), pods()]);
  const other = list.result === "answered" ? checkKubelets(advice, list.value.runtime) : [];
  if (answer.result === "answered") return [...checkInfo(advice, answer.value), ...other];
  if (answer.result === "unasked") return other;
  const { text } = runtimeFailure(answer.error, signal);
  const fault = answer.error.silence?.fault;
  return [...checkRuntimeFailure(advice, { text, fault }, await groupOf(advice.socket)), ...other];
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
export function checkInfo({ findings, remedies, socket }: RuntimeAdvice, info: RuntimeInfo): Finding[] {
  const { name, version, apiVersion, silentPart } = info;
  const which = `${name} ${version}, API ${apiVersion}`;
  return [
    ok(findings.socket, `${socket} answers`),
    silentPart === undefined ? ok(findings.runtime, which) : fail(
      findings.runtime,
      `${which}: its ${silentPart} does not answer it, so every pull fails`,
      remedies.silentPart,
    ),
    ok("image store", info.imageStore),
  ];
}

/** A runtime that did not answer: what was said, and what is wrong with the socket, if that is why. */
export interface RuntimeFailure {
  readonly text: string;
  readonly fault: SocketFault | undefined;
}

/**
 * Returns the findings for a runtime that did not answer. `group` is the group of its socket: the
 * name, or the number if it has no name.
 */
export function checkRuntimeFailure(
  { findings, remedies, socket }: RuntimeAdvice,
  { text, fault }: RuntimeFailure,
  group: string | undefined,
): Finding[] {
  switch (fault?.kind) {
    case "absent":
      return [fail(findings.socket, `${socket} does not exist`, remedies.noSocket)];
    case "not-a-socket":
      return [fail(findings.socket, `${socket} is ${fault.found}, not a socket`, remedies.notASocket)];
    case "not-listening":
      return [fail(findings.socket, `nothing listens on ${socket}`, remedies.notListening)];
    case "hangs":
      return [fail(findings.runtime, text, remedies.hangs)];
    case "forbidden": {
      const whose = group === undefined ? "" : `: it belongs to the group ${group}, which this user is not in`;
      const service = "if the service cannot open it either: run gilly-setup, which finds how it may";
      return [fail(findings.socket, `no permission to open ${socket}${whose}`, `${AS_ROOT}; ${service}`)];
    }
    case undefined:
      return [fail(findings.runtime, text, remedies.failed)];
  }
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
