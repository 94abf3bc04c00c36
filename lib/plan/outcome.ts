// The fixed vocabulary of results: the outcome of a repair, why something cannot be repaired, and
// what to do about it.

import type { Candidate } from "../images/rules.ts";
import { sentenceIn } from "../runtime/brief_texts.ts";
import { RUNTIME_ERROR_KINDS } from "../runtime/errors.ts";

/**
 * Reasons that only a person can resolve once candidates were tried. Retries continue at ever
 * longer intervals.
 */
export const FINAL_REASONS = [
  "not-in-mirror",
  "wrong-platform",
  "unsupported-image",
  "incomplete-image",
  "denied",
  "not-a-registry",
  "cannot-unpack",
  "disk-full",
  "digest-on-classic-store",
] as const;

/** See FINAL_REASONS. */
export type FinalReason = typeof FINAL_REASONS[number];

/** Why a container is left as it is. Each has a next step for the operator, see adviceOn. */
export const UNREPAIRABLE_REASONS = [
  "policy-always",
  "invalid-reference",
  "no-rule",
  "excluded",
  ...FINAL_REASONS,
] as const;

/** See UNREPAIRABLE_REASONS. */
export type UnrepairableReason = typeof UNREPAIRABLE_REASONS[number];

/**
 * Why a candidate that was requested did not deliver: the kinds of RuntimeError, and what Gilly
 * itself found.
 */
export const PULL_FAILURES = [...RUNTIME_ERROR_KINDS, "wrong-image", "digest-changed"] as const;

/** Why one candidate did not deliver; one whose mirror is cooling down was not requested. */
export type CandidateFailure = typeof PULL_FAILURES[number] | "cooling-down";

/** A candidate that was tried, or skipped because its mirror is cooling down, and the result. */
export interface CandidateAttempt {
  readonly candidate: Candidate;
  readonly failure: CandidateFailure;
  readonly message: string;
  /** When the cool-down because of which it was skipped ends, in milliseconds by Clock.now. */
  readonly until?: number;
  /** The text in full, if the message has it in brief. */
  readonly whole?: string | undefined;
}

/** The image was pulled and now has its original name. */
export interface Repaired {
  readonly result: "repaired";
  readonly candidate: Candidate;
  /** The local name the image was given. */
  readonly tagged: string;
  /** Content address of the image in the runtime's store. */
  readonly id: string;
  /** The digest that the mirror served, if the runtime reported it. */
  readonly digest: string | undefined;
  readonly bytes: number;
  readonly attempts: readonly CandidateAttempt[];
}

/** The name already existed and was left alone. */
export interface AlreadyPresent {
  readonly result: "already-present";
  readonly id: string;
}

/** No candidate delivered. */
export interface Failed {
  readonly result: "failed";
  readonly reason: FinalReason | undefined;
  readonly message: string;
  readonly attempts: readonly CandidateAttempt[];
  /** The runtime itself does not answer: no mirror is at fault, and no image can be pulled. */
  readonly runtimeSilent?: boolean;
}

/** The outcome of one repair. */
export type Outcome = Repaired | AlreadyPresent | Failed;

/** The possible results of a repair. */
export const REPAIR_RESULTS = ["repaired", "already-present", "failed"] as const satisfies readonly Outcome["result"][];

/**
 * The final reasons that failures of candidates lead to. If the candidates failed for different
 * ones, the first here is the reason: what a person can do most about.
 */
const REASONS_OF_FAILURES: readonly (readonly [CandidateFailure, FinalReason])[] = [
  ["denied", "denied"],
  ["disk-full", "disk-full"],
  ["cannot-unpack", "cannot-unpack"],
  ["incomplete-image", "incomplete-image"],
  ["wrong-platform", "wrong-platform"],
  ["unsupported-image", "unsupported-image"],
  ["not-a-registry", "not-a-registry"],
  ["not-found", "not-in-mirror"],
];

/**
 * Summarizes failed attempts: by a final reason if every candidate failed for one, or else as a
 * failure without a reason.
 */
export function failedOutcome(attempts: readonly CandidateAttempt[]): Failed {
  const failures = new Set(attempts.map(({ failure }) => failure));
  const known = REASONS_OF_FAILURES.filter(([failure]) => failures.has(failure));
  const reason = known.length === failures.size ? known[0]?.[1] : undefined;
  const told = withoutRepeats(attempts).join("; ") || "no mirror can have an image of this name";
  const message = reason === undefined ? told : adviceOn(reason, reason === "not-in-mirror" ? pushIt(attempts) : told);
  return { result: "failed", reason, message, attempts };
}

/** The messages; a cool-down says why only if no attempt before it said so. */
function withoutRepeats(attempts: readonly CandidateAttempt[]): string[] {
  const told: string[] = [];
  for (const { failure, message } of attempts) {
    const [, short = message, because = message] = /^(.*?) \((.*)\)$/.exec(message) ?? [];
    const isKnown = failure === "cooling-down" && told.some((before) => before.includes(because));
    const text = isKnown && because !== message ? short : message;
    if (!told.includes(text)) told.push(text);
  }
  return told;
}

/** Where to push the image, and what each mirror said: the registry's own sentence may name a cause. */
function pushIt(attempts: readonly CandidateAttempt[]): string {
  const references = attempts.map(({ candidate }) => candidate.reference);
  const mirrors = new Map<string, Set<string>>();
  for (const { candidate: { mirror, reference }, message } of attempts) {
    const sentence = sentenceIn(message, reference);
    mirrors.set(sentence, (mirrors.get(sentence) ?? new Set()).add(mirror));
  }
  const said = [...mirrors].map(([sentence, names]) => `${[...names].join(", ")}: ${sentence}`).join("; ");
  const where = references.length === 1 ? `push it as ${references[0]}` : `push it to one of ${references.join(", ")}`;
  return `${where} (${said})`;
}

/** What a person can do about a container that stays as it is, in one sentence. */
export function adviceOn(reason: UnrepairableReason, detail = ""): string {
  switch (reason) {
    case "policy-always":
      return "imagePullPolicy is Always, so the kubelet asks the original registry even if the image is here: " +
        `set imagePullPolicy: IfNotPresent${detail}, or turn on the registry proxy (gilly-setup --proxy)`;
    case "digest-on-classic-store":
      return "this node's image store cannot give a digest a second name: " +
        "use a tag, the containerd image store, or the registry proxy (gilly-setup --proxy)";
    case "invalid-reference":
      return `the kubelet itself cannot parse this name: fix the manifest${detail && ` (${detail})`}`;
    case "no-rule":
      return detail || "no rule maps this registry: add it under registries, then systemctl reload gilly";
    case "excluded":
      return detail || "excluded by configuration";
    case "not-in-mirror":
      return `no mirror has this image${detail && `: ${detail}`}`;
    case "wrong-platform":
      return `the mirror has it, but not for this node's platform: push it for that, too${detail && ` (${detail})`}`;
    case "unsupported-image":
      return `what the mirror has under this name is not an image that this node's runtime can run${
        detail && `: ${detail}`
      }`;
    case "incomplete-image":
      return `the mirror has its manifest, but not all of its layers as they were pushed: push it again${
        detail && ` (${detail})`
      }`;
    case "not-a-registry":
      return "what answers is not a registry: check the mirror's name and path in the config, and whether a web page " +
        `or a portal answers in its place${detail && ` (${detail})`}`;
    case "cannot-unpack":
      return "this node's runtime has all of its layers and cannot unpack them, so no mirror is at fault: " +
        `build it anew, or look at the runtime if other nodes can${detail && ` (${detail})`}`;
    case "disk-full":
      return `free space on this node's disk, where the runtime keeps its images${detail && ` (${detail})`}`;
    case "denied":
      return `the mirror refuses it${detail && `: ${detail}`}`;
  }
}
