// What to do about each failing image, as data: repair it, leave it alone and why, or wait and
// until when. Nothing is changed here, so a plan can be printed, compared, and refused.

import { type Exclusions } from "../images/exclusions.ts";
import { InvalidReferenceError, isImageId, parseReference, type Reference, repositoryOf } from "../images/reference.ts";
import { type Candidate, matchRule, type RegistryMap, type RegistryRule, type RuleMatch } from "../images/rules.ts";
import { type Failure, INVALID_NAME_REASON } from "../kubelet/failures.ts";
import { REPAIR_ANNOTATION } from "../kubelet/pods.ts";
import { quote } from "../support/text.ts";
import { adviceOn, type UnrepairableReason } from "./outcome.ts";
import type { RetryRecord } from "./retries.ts";

/** The pull policies of core/v1. */
export type PullPolicy = "Always" | "IfNotPresent" | "Never";

/** An image that has candidates under the rules. */
export interface Target {
  /** The name that the kubelet looks up; the key of everything known about this image. */
  readonly name: string;
  /** As the manifest (or the command line) spells it. */
  readonly image: string;
  readonly reference: Reference;
  readonly rule: RegistryRule;
  readonly candidates: readonly Candidate[];
}

/** Returns why this digest must not get this name, or undefined; see lib/record/provenance.ts. */
export type Veto = (target: Target, candidate: Candidate, digest: string) => string | undefined;

/** An image to pull for every container that waits for it. */
export interface Repair extends Target {
  readonly failures: readonly Failure[];
}

/** Why an image is left alone, and what a person can do about it. */
export interface Refusal {
  readonly reason: UnrepairableReason;
  readonly advice: string;
}

/** A container that is left alone. */
export interface Skip extends Refusal {
  readonly failure: Failure;
}

/** An image that is not to be tried yet, or that the kubelet is about to check again. */
export interface Wait {
  readonly repair: Repair;
  readonly record: RetryRecord;
}

/** What a pass decides about the failures; each failing container is in exactly one list. */
export interface Plan {
  readonly repairs: readonly Repair[];
  readonly skips: readonly Skip[];
  readonly waits: readonly Wait[];
  /** Images whose repair is already under way. */
  readonly repairing: readonly Repair[];
}

/** The inputs of a plan besides the failures. */
export interface PlanContext {
  readonly registries: RegistryMap;
  readonly exclusions: Exclusions;
  /**
   * See RuntimeInfo. Undefined if the runtime has not answered; then no digest is refused for this
   * reason.
   */
  readonly canAliasDigest: boolean | undefined;
  /** The registries that gilly-redirect leads to the registry proxy now. */
  readonly redirected: ReadonlySet<string>;
  readonly retry: (name: string) => RetryRecord | undefined;
  readonly underWay: (name: string) => boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Returns the plan for these failures. Containers that wait for one image share one repair. */
export function makePlan(failures: readonly Failure[], context: PlanContext): Plan {
  const skips: Skip[] = [];
  const wanted = new Map<string, Repair & { failures: Failure[] }>();
  for (const failure of failures) {
    const verdict = judge(failure, context);
    if (isRefusal(verdict)) {
      skips.push({ failure, ...verdict });
      continue;
    }
    const known = wanted.get(verdict.name);
    if (known === undefined) wanted.set(verdict.name, { ...verdict, failures: [failure] });
    else known.failures.push(failure);
  }
  return { skips, ...schedule([...wanted.values()], context) };
}

/** Everything that determines what is done about an image: its name, exclusion, and rule. */
export interface Decision {
  /** Undefined if no registry can have an image of this name. */
  readonly reference: Reference | undefined;
  /** The pattern of `exclude.images` that matches. */
  readonly excludedBy: string | undefined;
  /** What the rules say, also for an excluded image; undefined without a reference. */
  readonly match: RuleMatch | undefined;
  readonly planned: Target | Refusal;
}

/** The part of a plan's context that concerns an image alone. */
export type ImageContext = Pick<PlanContext, "registries" | "exclusions" | "canAliasDigest" | "redirected">;

/** Decides about one image, regardless of what waits for it. */
export function decide(image: string, context: ImageContext): Decision {
  const reference = parseOrRefuse(image);
  if ("reason" in reference) {
    return { reference: undefined, excludedBy: undefined, match: undefined, planned: reference };
  }
  const excludedBy = context.exclusions.image(reference);
  const match = matchRule(context.registries, reference);
  const decided = { reference, excludedBy, match };
  if (excludedBy !== undefined) {
    const advice = `exclude.images has ${quote(excludedBy)}: change that line`;
    return { ...decided, planned: refuse("excluded", advice) };
  }
  if (match.rule === undefined) {
    return { ...decided, planned: refuse("no-rule", adviceWithoutRule(match.because, reference)) };
  }
  if (reference.digest !== undefined && context.canAliasDigest === false) {
    return { ...decided, planned: refuseLate("digest-on-classic-store", reference, context) };
  }
  const { rule, candidates } = match;
  return { ...decided, planned: { name: localName(reference), image, reference, rule, candidates } };
}

/** Returns the image as a target, or the reason why it cannot be repaired. */
export function planImage(image: string, context: ImageContext): Target | Refusal {
  return decide(image, context).planned;
}

/** Reports whether `planned` is a refusal. */
export function isRefusal(planned: Target | Refusal): planned is Refusal {
  return "advice" in planned;
}

/**
 * Returns the name by which the kubelet queries the runtime: a digest takes precedence over a tag
 * (dockershim libdocker/helpers.go).
 */
export function localName(reference: Reference): string {
  return reference.digest === undefined
    ? `${repositoryOf(reference)}:${reference.tag}`
    : `${repositoryOf(reference)}@${reference.digest}`;
}

/**
 * Returns the policy in effect: that of the manifest, or else Always for `latest` and IfNotPresent
 * for everything else (kubernetes pkg/apis/core/v1/defaults.go).
 */
export function effectivePolicy(policy: string | undefined, reference: Reference): PullPolicy {
  if (policy === "Always" || policy === "IfNotPresent" || policy === "Never") return policy;
  return reference.tag === "latest" ? "Always" : "IfNotPresent";
}

function judge(failure: Failure, context: PlanContext): Target | Refusal {
  if (failure.optedOut) return refuse("excluded", `the pod has the annotation ${REPAIR_ANNOTATION}: "false"`);
  const namespace = context.exclusions.namespace(failure.pod.namespace);
  if (namespace !== undefined) {
    return refuse("excluded", `exclude.namespaces has ${quote(namespace)}: change that line`);
  }
  // Our grammar may be newer, but the kubelet never looks up a name that it cannot parse.
  if (failure.reason === INVALID_NAME_REASON) return refuse("invalid-reference", failure.message || failure.image);
  const planned = planImage(failure.image, context);
  if (isRefusal(planned)) return planned;
  const policy = effectivePolicy(failure.imagePullPolicy, planned.reference);
  if (policy !== "Always") return planned;
  // The API server fills in a policy that the manifest omits, so the two cases look the same.
  const pinIt = planned.reference.tag === "latest" ? ", or pin a tag if the manifest sets no policy" : "";
  return refuseLate("policy-always", planned.reference, context, pinIt);
}

function schedule(repairs: readonly Repair[], context: PlanContext): Omit<Plan, "skips"> {
  const plan = { repairs: [] as Repair[], waits: [] as Wait[], repairing: [] as Repair[] };
  for (const repair of repairs) {
    const record = context.retry(repair.name);
    if (context.underWay(repair.name)) plan.repairing.push(repair);
    else if (record !== undefined && context.now < record.nextTryAt) plan.waits.push({ repair, record });
    else plan.repairs.push(repair);
  }
  return plan;
}

function parseOrRefuse(image: string): Reference | Refusal {
  // An image ID is not a name in any registry; the kubelet only looks it up locally.
  if (isImageId(image)) {
    const advice =
      "an image ID is not a name in a registry, so it cannot be pulled: name the image by its tag or digest";
    return { reason: "invalid-reference", advice };
  }
  try {
    return parseReference(image);
  } catch (error) {
    if (error instanceof InvalidReferenceError) return refuse("invalid-reference", error.sentence);
    throw error;
  }
}

function adviceWithoutRule(because: "no-rule" | "is-mirror", reference: Reference): string {
  return because === "is-mirror"
    ? `${reference.domain} is itself a mirror in the rules, so this name is never rewritten: find out why the mirror fails`
    : `no rule maps ${reference.domain}: add "${reference.domain}: MIRROR" under registries, then systemctl reload gilly`;
}

/** A tag comes too late for this image, but the registry proxy could have served it. */
function refuseLate(
  reason: "policy-always" | "digest-on-classic-store",
  { domain }: Reference,
  { redirected }: ImageContext,
  detail?: string,
): Refusal {
  if (!redirected.has(domain)) return refuse(reason, detail);
  const advice = `pulls of ${domain} are led to the registry proxy, which can serve it: ` +
    "journalctl -u gilly-proxy says what it did";
  return { reason, advice };
}

function refuse(reason: UnrepairableReason, detail?: string): Refusal {
  return { reason, advice: adviceOn(reason, detail) };
}
