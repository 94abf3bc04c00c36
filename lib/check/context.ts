// What the checks of a node are handed: the node, and what its kubelet and its runtime answered, each asked once.

import type { Config } from "../config/config.ts";
import { KubeletError } from "../kubelet/errors.ts";
import type { PodList } from "../kubelet/pods.ts";
import type { NodeContext, ProcessContext } from "../pass.ts";
import type { RuntimeInfo } from "../runtime/advice.ts";
import { RuntimeError } from "../runtime/errors.ts";
import { describeError } from "../support/errors.ts";
import type { Failed, Finding } from "./finding.ts";
import type { LentFile } from "./unit_file.ts";

/** One check. Throws the signal's reason, or what nobody foresaw. */
export type Check = (context: CheckContext) => Promise<readonly Finding[]>;

/** What somebody answered who was asked. */
export type Answer<Value, Problem> =
  | { readonly result: "answered"; readonly value: Value }
  | { readonly result: "failed"; readonly error: Problem }
  | { readonly result: "unasked" };

/** What is known before anybody is asked. */
export interface CheckOptions {
  readonly signal: AbortSignal;
  /** The kubelet's files can be used; otherwise it is not asked. */
  readonly usable: boolean;
  /** What is known of kubelet.caFile when systemd lends it. */
  readonly lentCa?: LentFile | undefined;
  /** Names of the variables of the environment that name a proxy. */
  readonly proxies: readonly string[];
}

/** What a check works with. */
export interface CheckContext extends CheckOptions {
  readonly node: NodeContext<Config>;
  readonly process: ProcessContext;
  /** What the kubelet answered. Throws the signal's reason. */
  pods(): Promise<Answer<PodList, KubeletError>>;
  /** What the runtime says of itself. Throws the signal's reason. */
  info(): Promise<Answer<RuntimeInfo, RuntimeError>>;
}

/** Makes the context of a node; asks nobody yet. */
export function openContext(node: NodeContext<Config>, process: ProcessContext, options: CheckOptions): CheckContext {
  const { signal, usable } = options;
  let pods: Promise<Answer<PodList, KubeletError>> | undefined;
  let info: Promise<Answer<RuntimeInfo, RuntimeError>> | undefined;
  return {
    ...options,
    node,
    process,
    pods: () => pods ??= usable ? answerOf(node.kubelet.pods(signal), KubeletError, signal) : unasked(),
    info: () => info ??= answerOf(node.runtime.info(signal), RuntimeError, signal),
  };
}

/** How a call of the runtime failed, in words; throws the signal's reason, and what is no RuntimeError. */
export function runtimeFailure(error: unknown, signal: AbortSignal): Failed {
  signal.throwIfAborted();
  if (!(error instanceof RuntimeError)) throw error;
  // What was attempted on what stands in the finding's name.
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
