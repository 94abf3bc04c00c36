// The input of a node's checks: the node, and the answers of its kubelet and its runtime, each
// queried at most once.

import type { Config } from "../config/config.ts";
import { KubeletError } from "../kubelet/errors.ts";
import type { PodList } from "../kubelet/pods.ts";
import type { NodeContext, ProcessContext } from "../pass.ts";
import type { RuntimeInfo } from "../runtime/advice.ts";
import { RuntimeError } from "../runtime/errors.ts";
import type { Resolve } from "../runtime/runtime.ts";
import { describeError } from "../support/errors.ts";
import type { LentFile } from "./files/unit_file.ts";
import type { Failed, Finding } from "./finding.ts";
import { askingMirrors } from "./registry.ts";

/** One check. Throws the signal's reason, or an unexpected error. */
export type Check = (context: CheckContext) => Promise<readonly Finding[]>;

/** The result of a query: a value, a failure, or none because nothing was queried. */
export type Answer<Value, Problem> =
  | { readonly result: "answered"; readonly value: Value }
  | { readonly result: "failed"; readonly error: Problem }
  | { readonly result: "unasked" };

/** What is known before the kubelet and the runtime are queried. */
export interface CheckOptions {
  readonly signal: AbortSignal;
  /** Whether the kubelet's files can be used; if not, the kubelet is not queried. */
  readonly usable: boolean;
  /** What is known about kubelet.caFile if systemd loads it as a credential. */
  readonly lentCa?: LentFile | undefined;
  /** The path of the registry proxy's state file. */
  readonly proxyStateFile: string;
  /** Names of the environment variables that name a proxy. */
  readonly proxies: readonly string[];
}

/** The input of a check. */
export interface CheckContext extends CheckOptions {
  readonly node: NodeContext<Config>;
  readonly process: ProcessContext;
  /** Returns the kubelet's answer. Throws the signal's reason. */
  pods(): Promise<Answer<PodList, KubeletError>>;
  /** See Runtime. */
  readonly resolve: Resolve;
  /** Returns the runtime's description of itself. Throws the signal's reason. */
  info(): Promise<Answer<RuntimeInfo, RuntimeError>>;
  /** See RuntimeInfo; undefined if the runtime did not answer. Throws the signal's reason. */
  canAliasDigest(): Promise<boolean | undefined>;
}

/** Makes the context of a node. It contacts nothing yet. */
export function openContext(node: NodeContext<Config>, process: ProcessContext, options: CheckOptions): CheckContext {
  const { signal, usable } = options;
  let pods: Promise<Answer<PodList, KubeletError>> | undefined;
  let info: Promise<Answer<RuntimeInfo, RuntimeError>> | undefined;
  const askInfo = () => info ??= answerOf(node.runtime.info(signal), RuntimeError, signal);
  return {
    ...options,
    node,
    process,
    resolve: node.runtime.resolve?.bind(node.runtime) ??
      askingMirrors(node.runtime.advice.certsFolder, process.clock.now),
    pods: () => pods ??= usable ? answerOf(node.kubelet.pods(signal), KubeletError, signal) : unasked(),
    info: askInfo,
    async canAliasDigest() {
      const answer = await askInfo();
      return answer.result === "answered" ? answer.value.canAliasDigest : undefined;
    },
  };
}

/**
 * Describes a failed call of the runtime. Throws the signal's reason, or the error itself if it is
 * not a RuntimeError.
 */
export function runtimeFailure(error: unknown, signal: AbortSignal): Failed {
  signal.throwIfAborted();
  if (!(error instanceof RuntimeError)) throw error;
  // The finding's name already says what was attempted, and on what.
  return { kind: error.kind, text: describeError(error).replace(/^(?:resolve|inspect) \S+: /, "") };
}

async function answerOf<Value, Problem extends Error>(
  call: Promise<Value>,
  problem: new (...args: never[]) => Problem,
  signal: AbortSignal,
): Promise<Answer<Value, Problem>> {
  try {
    return { result: "answered", value: await call };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof problem)) throw error;
    return { result: "failed", error };
  }
}

function unasked(): Promise<{ readonly result: "unasked" }> {
  return Promise.resolve({ result: "unasked" });
}
