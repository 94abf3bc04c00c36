// Looks at everything a repair depends on, in its order, and hands what it saw to the judges beside it. It changes
// nothing: no image is pulled, no name is given, nothing is written.

import type { Config } from "../config/config.ts";
import { outsideInWords, usesCredentials } from "../images/auth_paths.ts";
import type { RegistryAuth } from "../images/registry.ts";
import { KubeletError } from "../kubelet/errors.ts";
import { scanPods } from "../kubelet/failures.ts";
import { type PodList, podName } from "../kubelet/pods.ts";
import { AuthFile } from "../mirrors/credentials.ts";
import { look, type NodeContext, type ProcessContext } from "../pass.ts";
import { isRefusal, planImage, type Target } from "../plan/plan.ts";
import type { RuntimeInfo } from "../runtime/advice.ts";
import { RuntimeError } from "../runtime/errors.ts";
import type { NoDaemon } from "../status/read_state.ts";
import { seeDaemon } from "../status/state_file.ts";
import { describeError } from "../support/errors.ts";
import type { ConfigCheck } from "./config_checkup.ts";
import { type Failed, type Finding, sanitize, warn } from "./finding.ts";
import { installed, type LentOptions } from "./lent_files.ts";
import * as mirrors from "./mirrors.ts";
import * as kubeletAndRuntime from "./node.ts";
import type { LentFile } from "./unit_file.ts";

type Node = NodeContext<Config>;

/**
 * Checks the kubelet, the runtime, the mirrors and the `keep` list. `usable` says that the kubelet's files can be used;
 * otherwise it is not asked. Throws only the signal's reason.
 */
export async function checkNode(
  node: Node,
  process: ProcessContext,
  options: Pick<ConfigCheck, "usable" | "lentCa"> & { readonly signal: AbortSignal },
): Promise<Finding[]> {
  const { signal } = options;
  const { advice } = node.runtime;
  const unasked: KubeletCheck = { findings: [notAsked("kubelet", "the files for it cannot be used")] };
  const [kubelet, runtime] = await Promise.all([
    options.usable ? checkKubelet(node, options.lentCa, signal) : unasked,
    checkRuntime(node, signal),
  ]);
  const findings = [...kubelet.findings, ...runtime.findings];
  if (kubelet.list !== undefined) {
    findings.push(checkWaiting(node, process, kubelet.list, runtime.info?.canAliasDigest));
    const canAliasDigest = runtime.info?.canAliasDigest;
    findings.push(...kubeletAndRuntime.judgeReach(kubelet.list.pods, { ...node, canAliasDigest }));
  }
  if (runtime.info === undefined) {
    const unaskedToo = mirrors.probesOf(node.config.registries).map(({ mirror }) =>
      notAsked(`mirror ${mirror}`, `${advice.called} does not answer`)
    );
    return sanitize([...findings, ...unaskedToo]);
  }
  const [reachable, kept] = await Promise.all([checkMirrors(node, signal), checkKept(node, signal)]);
  return sanitize([...findings, ...reachable, ...kept, mirrors.judgePermanentFix(advice, runtime.info)]);
}

interface KubeletCheck {
  readonly findings: readonly Finding[];
  /** What the kubelet answered. */
  readonly list?: PodList;
}

async function checkKubelet(
  node: Node,
  lentCa: LentFile | undefined,
  signal: AbortSignal,
): Promise<KubeletCheck> {
  const { url, caFile } = node.config.kubelet;
  try {
    const list = await node.kubelet.pods(signal);
    return { findings: kubeletAndRuntime.judgeKubelet(url, list), list };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof KubeletError)) throw error;
    // Where it happened is said already; what is left is why.
    const text = describeError(error.kind === "unreachable" || error.kind === "credentials" ? error.cause : error);
    return { findings: kubeletAndRuntime.judgeKubeletFailure(url, { kind: error.kind, text }, caFile, lentCa) };
  }
}

function checkWaiting(
  node: Node,
  { clock, memory }: ProcessContext,
  list: PodList,
  canAliasDigest: boolean | undefined,
): Finding {
  const scan = scanPods(list.pods);
  const { skips } = look(scan, node, memory, { now: clock.now(), canAliasDigest, underWay: () => false });
  const leftAlone = skips.map(({ failure: { pod }, reason, advice }) => (
    { pod: podName(pod), reason, advice }
  ));
  return kubeletAndRuntime.judgeWaiting(list.pods.length, scan.failures.length, leftAlone);
}

async function checkRuntime(
  { runtime }: Node,
  signal: AbortSignal,
): Promise<{ findings: Finding[]; info?: RuntimeInfo }> {
  const { advice } = runtime;
  try {
    const info = await runtime.info(signal);
    return { findings: kubeletAndRuntime.judgeRuntime(advice, info), info };
  } catch (error) {
    const group = await groupOf(advice.socket);
    return { findings: kubeletAndRuntime.judgeRuntimeFailure(advice, failureOf(error, signal), group) };
  }
}

/** The socket's group: its name, or its number where it has none. */
async function groupOf(socket: string): Promise<string | undefined> {
  try {
    const { gid } = await Deno.stat(socket);
    const groups = (await Deno.readTextFile("/etc/group")).split("\n").map((line) => line.split(":"));
    return groups.find(([, , id]) => Number(id) === gid)?.[0] ?? String(gid);
  } catch {
    return undefined;
  }
}

async function checkMirrors({ config, runtime }: Node, signal: AbortSignal): Promise<Finding[]> {
  return await Promise.all(
    mirrors.probesOf(config.registries, config.mirrors).map(async ({ mirror, reference }) => {
      const { auth, credentials } = await credentialsFor(config, mirror, reference);
      try {
        await runtime.resolve(reference, { signal, auth });
        return mirrors.judgeMirror(mirror, credentials);
      } catch (error) {
        return mirrors.judgeMirrorFailure(mirror, failureOf(error, signal), credentials, runtime.advice);
      }
    }),
  );
}

async function credentialsFor(
  config: Config,
  mirror: string,
  reference: string,
): Promise<{ auth?: RegistryAuth; credentials?: mirrors.Credentials }> {
  const file = config.mirrors[mirror]?.authFile;
  if (file === undefined) return {};
  if (!usesCredentials(mirror, config.mirrors[mirror], reference)) {
    return { credentials: { file, unused: outsideInWords(mirror, reference) } };
  }
  const found = await new AuthFile(file, mirror).read();
  return "auth" in found
    ? { auth: found.auth, credentials: { file } }
    : { credentials: { file, problem: found.problem } };
}

/** Asks the daemon's state file how the daemon fares; `now` is milliseconds since the epoch. */
export async function checkDaemon(stateFile: string, now: number, options: LentOptions = {}): Promise<Finding[]> {
  const none = async (why: NoDaemon) =>
    sanitize([mirrors.judgeNoDaemon(why, await installed("gilly.service", options))]);
  try {
    const seen = await seeDaemon(stateFile, now);
    return seen.state === undefined ? await none(seen) : sanitize(mirrors.judgeDaemon(seen.state, now));
  } catch (error) {
    return await none({ because: `${stateFile} cannot be read: ${describeError(error)}`, silent: false });
  }
}

async function checkKept(node: Node, signal: AbortSignal): Promise<Finding[]> {
  const canAliasDigest = await node.canAliasDigest(signal);
  return await Promise.all(node.config.keep.map(async (image) => {
    const planned = planImage(image, { ...node, canAliasDigest });
    if (isRefusal(planned)) return mirrors.judgeKept(image, { state: "refused", refusal: planned });
    return mirrors.judgeKept(image, await howKept(node, planned, signal));
  }));
}

async function howKept({ config, runtime }: Node, target: Target, signal: AbortSignal): Promise<mirrors.Kept> {
  const tried: string[] = [];
  let state: "lost" | "unanswered" = "lost";
  try {
    if (await runtime.inspect(target.name, signal) !== undefined) return { state: "present" };
  } catch (error) {
    return { state: "unknown", because: failureOf(error, signal).text };
  }
  for (const { mirror, reference } of target.candidates) {
    try {
      const { auth } = await credentialsFor(config, mirror, reference);
      if (await runtime.resolve(reference, { signal, auth }) !== undefined) return { state: "absent", mirror };
      tried.push(`${mirror} has no ${reference}`);
    } catch (error) {
      state = "unanswered";
      tried.push(failureOf(error, signal).text);
    }
  }
  return { state, because: tried.join("; ") };
}

function failureOf(error: unknown, signal: AbortSignal): Failed {
  signal.throwIfAborted();
  if (!(error instanceof RuntimeError)) throw error;
  // What was attempted on what stands in the finding's name.
  return { kind: error.kind, text: describeError(error).replace(/^(?:resolve|inspect) \S+: /, "") };
}

function notAsked(name: string, because: string): Finding {
  return warn(name, `not asked, since ${because}`, "fix that first, then check again");
}
