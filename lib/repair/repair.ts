// One repair: pull from the first mirror that delivers, tag, verify. It never moves an existing
// name, and throws only the stop signal's reason: every failure is an outcome.

import { type Reference, repositoryOf } from "../images/reference.ts";
import type { RemoteImage } from "../images/registry.ts";
import type { Candidate } from "../images/rules.ts";
import { failureInWords } from "../mirrors/denial.ts";
import type { CoolingDown, Mirrors } from "../mirrors/mirrors.ts";
import type { CandidateAttempt, CandidateFailure, Failed, Outcome, Repaired } from "../plan/outcome.ts";
import { failedOutcome } from "../plan/outcome.ts";
import { localName, type Target, type Veto } from "../plan/plan.ts";
import { RuntimeError } from "../runtime/errors.ts";
import { type LocalImage, type PulledImage, type Runtime } from "../runtime/runtime.ts";
import { describeError } from "../support/errors.ts";
import type { ShouldYield } from "../support/semaphore.ts";
import { several } from "../support/text.ts";
import type { Observer } from "./observer.ts";

/** The dependencies of a repair. */
export interface RepairContext {
  readonly runtime: Runtime;
  readonly mirrors: Mirrors;
  readonly veto: Veto;
  readonly observer: Observer;
  readonly signal: AbortSignal;
}

/** Makes one image available under its original name. */
export async function repair(target: Target, context: RepairContext): Promise<Outcome> {
  const attempts: CandidateAttempt[] = [];
  try {
    const present = await context.runtime.inspect(target.name, context.signal);
    if (present !== undefined) return { result: "already-present", id: present.id };
    context.observer.started?.(target);
    for (const candidate of target.candidates) {
      const outcome = await tryCandidate(target, candidate, attempts, context);
      if (outcome !== undefined) return outcome;
    }
    return failedOutcome(attempts);
  } catch (error) {
    context.signal.throwIfAborted();
    const runtimeSilent = error instanceof RuntimeError && error.silence !== undefined;
    const failed = { result: "failed", reason: undefined, message: describeError(error), attempts } as const;
    return runtimeSilent ? { ...failed, runtimeSilent } : failed;
  }
}

/** Returns the outcome of this candidate, or undefined if the next one is to be tried. */
async function tryCandidate(
  target: Target,
  candidate: Candidate,
  attempts: CandidateAttempt[],
  context: RepairContext,
): Promise<Outcome | undefined> {
  const give = (
    failure: CandidateFailure,
    message: string,
    more: Pick<CandidateAttempt, "until" | "whole"> = {},
  ) => {
    const attempt = { candidate, failure, message, ...more };
    attempts.push(attempt);
    context.observer.candidateFailed?.(target, attempt);
    return undefined;
  };
  const coolingDown = context.mirrors.coolingDown(candidate);
  if (coolingDown !== undefined) return give("cooling-down", coolingDown.message, { until: coolingDown.until });
  try {
    const pulled = await pull(target, candidate, context);
    if ("until" in pulled) return give("cooling-down", pulled.message, { until: pulled.until });
    const image = await context.runtime.inspect(candidate.reference, context.signal);
    if (image === undefined) {
      return give("wrong-image", `pulled ${candidate.reference}, but the runtime does not have it`);
    }
    const digest = digestOf(candidate, image, pulled);
    const wanted = target.reference.digest;
    if (wanted !== undefined && digest !== wanted) {
      return give("wrong-image", `${candidate.reference} delivered ${digest ?? "no digest"} instead of ${wanted}`);
    }
    const veto = digest === undefined ? undefined : context.veto(target, candidate, digest);
    if (veto !== undefined) return give("digest-changed", veto);
    return await tagAndVerify(target, { candidate, image, digest, bytes: pulled.bytes, attempts }, context);
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof RuntimeError)) throw error;
    // If the runtime is unreachable, no mirror can help.
    if (error.kind === "unreachable") throw error;
    return give(error.kind, await failureText(candidate, error, context), { whole: error.whole });
  }
}

/** The text of a failure, with what only Gilly or the mirror can add to it. */
async function failureText(candidate: Candidate, error: RuntimeError, context: RepairContext): Promise<string> {
  const text = failureInWords(candidate, error, context.mirrors);
  if (error.kind !== "wrong-platform") return text;
  const platforms = await platformsOf(candidate, context);
  return platforms.length === 0 ? text : `${text}; it is there for ${several(platforms, 5)}`;
}

/** The platforms that a mirror has an image for; none if the runtime cannot ask, or gets no answer. */
async function platformsOf(candidate: Candidate, context: RepairContext): Promise<readonly string[]> {
  try {
    return (await resolveAt(candidate, context, context.signal))?.platforms ?? [];
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof RuntimeError)) throw error;
    return [];
  }
}

/** Returns what was pulled, or why the mirror was not contacted. */
async function pull(target: Target, candidate: Candidate, context: RepairContext): Promise<PulledImage | CoolingDown> {
  const { runtime, mirrors, observer, signal } = context;
  const pulled = await mirrors.withSlot<PulledImage | CoolingDown>(candidate.mirror, signal, async () => {
    // An earlier pull in the queue may have found the mirror down.
    const coolingDown = mirrors.coolingDown(candidate);
    if (coolingDown !== undefined) return coolingDown;
    mirrors.trying(candidate);
    const auth = await mirrors.credentials(candidate.mirror, candidate.reference);
    observer.pulling?.(target, candidate);
    try {
      return await runtime.pull(candidate.reference, {
        signal,
        auth,
        // Without an observer of progress, the runtime need not report it.
        onProgress: observer.progress && ((progress) => observer.progress?.(target, candidate, progress)),
      });
    } catch (error) {
      // Before the slot is free: the next pull in the queue is to see the cool-down.
      if (!signal.aborted && error instanceof RuntimeError) mirrors.failed(candidate, error);
      throw error;
    }
  }, isProbablyMissing(candidate, context));
  if (!("until" in pulled)) mirrors.delivered(candidate);
  return pulled;
}

/**
 * Checks, while other images are being pulled, whether the mirror has this image at all, so that
 * fifty missing images do not delay one that exists. This is only a hint: missing images go last,
 * and the pull itself decides.
 */
function isProbablyMissing(candidate: Candidate, context: RepairContext): ShouldYield {
  return async (signal) => {
    if (context.runtime.resolve === undefined) return false;
    const isMissing = async () => await resolveAt(candidate, context, signal) === undefined;
    return await context.mirrors.probe(candidate, signal, isMissing);
  };
}

/** What a mirror has under the candidate's name; undefined if it has nothing, or the runtime cannot ask. */
async function resolveAt(
  { mirror, reference }: Candidate,
  { runtime, mirrors }: RepairContext,
  signal: AbortSignal,
): Promise<RemoteImage | undefined> {
  return await runtime.resolve?.(reference, { signal, auth: await mirrors.credentials(mirror, reference) });
}

interface Delivery {
  readonly candidate: Candidate;
  readonly image: LocalImage;
  readonly digest: string | undefined;
  readonly bytes: number;
  readonly attempts: readonly CandidateAttempt[];
}

async function tagAndVerify(target: Target, delivery: Delivery, context: RepairContext): Promise<Outcome> {
  const { runtime, observer, signal } = context;
  const { candidate, image, digest, bytes, attempts } = delivery;
  // The kubelet or a person may have been faster, and the runtime would silently move the name.
  const meanwhile = await runtime.inspect(target.name, signal);
  if (meanwhile !== undefined) return { result: "already-present", id: meanwhile.id };
  const name = { name: repositoryOf(target.reference), tag: tagFor(target.reference) };
  const tagged = `${name.name}:${name.tag}`;
  try {
    await runtime.tag(image.id, name, signal);
  } catch (error) {
    // The mirror did have the image: garbage collection or a person was faster.
    if (error instanceof RuntimeError && error.kind === "not-found") throw new RuntimeError("failed", error.message);
    throw error;
  }
  const now = await runtime.inspect(target.name, signal);
  if (now?.id !== image.id) return unverified(target, delivery, now);
  observer.tagged?.(target, candidate, tagged);
  return { result: "repaired", candidate, tagged, id: image.id, digest, bytes, attempts } satisfies Repaired;
}

function unverified(target: Target, delivery: Delivery, now: LocalImage | undefined): Failed {
  const { candidate, image, attempts } = delivery;
  const seen = now === undefined ? "does not resolve" : `resolves to ${now.id}`;
  const message = `tagged ${candidate.reference} (${image.id}), but ${localName(target.reference)} ${seen}`;
  // Only the classic store leaves a digest unresolved after the tag (moby's reference store).
  const reason = target.reference.digest !== undefined && now === undefined ? "digest-on-classic-store" : undefined;
  return { result: "failed", reason, message, attempts };
}

/** Each digest gets its own tag: moving a tag between digests would leave the old one unnamed. */
function tagFor(reference: Reference): string {
  if (reference.digest === undefined) return reference.tag!;
  return `gilly-${reference.digest.slice(reference.digest.indexOf(":") + 1).slice(0, 12)}`;
}

function digestOf(candidate: Candidate, image: LocalImage, pulled: PulledImage): string | undefined {
  if (pulled.digest !== undefined) return pulled.digest;
  const own = image.digests.find((name) => name.startsWith(`${candidate.repository}@`));
  return own?.slice(own.indexOf("@") + 1);
}
