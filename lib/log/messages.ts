// All log messages about the daemon's work. A steady node is quiet: unchanged facts are logged at
// debug, changes at info, and what needs a person at warning, repeated only at growing intervals.

import type { Candidate } from "../images/rules.ts";
import { type Failure, isCreating, podNames } from "../kubelet/failures.ts";
import { type PodList, podName } from "../kubelet/pods.ts";
import type { CandidateAttempt, Failed } from "../plan/outcome.ts";
import type { Plan, Refusal, Repair, Skip, Target } from "../plan/plan.ts";
import type { Observer, RepairEnd } from "../repair/observer.ts";
import { otherRuntime, type RuntimeName, type Silence, silenceText } from "../runtime/advice.ts";
import { RuntimeError } from "../runtime/errors.ts";
import { describeError } from "../support/errors.ts";
import { LONGEST_ENTRY, several, shortened, shortenedInside } from "../support/text.ts";
import type { Level } from "./log.ts";
import { SharedMessages } from "./shared_messages.ts";

/** Characters of an image's name, and of the pods that wait for it: the reason has to fit in, too. */
const LONGEST_NAME = 150;

/** A repair that took this much longer, in seconds, since its image was found missing says so. */
const WAIT_WORTH_SAYING = 1;

/** Logs what happens: each change once, and lasting conditions at growing intervals. */
export class LogMessages extends SharedMessages implements Observer {
  #connectedTo: string | undefined;
  /** The runtime that is not answering. */
  #silent: RuntimeName | undefined;
  #podCount: number | undefined;
  #waiting = new Map<string, Failure>();
  /** When each was first seen. */
  #detectedAt = new Map<string, number>();

  /** The kubelet at `host` (its URL without the path) answered. */
  connected(host: string): void {
    if (this.#connectedTo === host) return;
    this.#connectedTo = host;
    this.throttle.forget("kubelet");
    this.log("info", "NewConnection", "Established connection to kubelet");
    this.log("info", "Main", `host: ${host}`);
  }

  otherRuntime(scheme: string, configured: RuntimeName): void {
    const { message, remedy } = otherRuntime(scheme, configured);
    this.logThrottled("warning", `runtime:${scheme}`, "GetPods", `${message}: ${remedy}`);
  }

  /** A pass was skipped because the kubelet did not list its pods. */
  kubeletFailed(error: unknown): void {
    this.#connectedTo = undefined;
    this.logThrottled("warning", "kubelet", "GetPods", `skipped this pass: ${describeError(error)}`);
  }

  /** A pass read the pods and made its plan; nothing has been changed yet. */
  looked(list: PodList, failures: readonly Failure[], plan: Plan): void {
    const seen = new Map(failures.map((failure) => [keyOf(failure), failure]));
    const appeared = [...seen].filter(([key]) => !this.#waiting.has(key));
    const gone = [...this.#waiting].filter(([key]) => !seen.has(key));
    const news = list.pods.length !== this.#podCount || appeared.length > 0 || gone.length > 0;
    const level = news ? "info" : "debug";
    this.log(level, "GetPods", `Pulled ${list.pods.length} running pods.`);
    for (const text of list.malformed) {
      this.logThrottled("warning", `malformed:${text}`, "GetPods", `left out ${text}`);
    }
    for (const [key, failure] of seen) this.#detected(this.#waiting.has(key) ? "debug" : "info", failure);
    for (const [, { container, pod, image }] of gone) {
      this.log("info", "Validate", `Container ${container} in pod ${pod.name} no longer waits for ${image}`);
    }
    this.log(level, "Validate", `Checked ${list.pods.length} Pods, found ${seen.size} waiting`);
    for (const skip of plan.skips) this.#skipped(skip);
    this.#forgetAllBut(plan);
    this.log(level, "Main", "Checks done. Sleeping for awhile");
    this.#podCount = list.pods.length;
    this.#waiting = seen;
    const now = this.now();
    this.#detectedAt = new Map([...seen.keys()].map((key) => [key, this.#detectedAt.get(key) ?? now]));
  }

  #forgetAllBut(plan: Plan): void {
    const repairs = [...plan.repairs, ...plan.repairing, ...plan.waits.map((wait) => wait.repair)];
    this.throttle.retain("skip", new Set(plan.skips.map(skipKey)));
    this.throttle.retain("repair", new Set(repairs.map(repairKey)));
    this.throttle.retain("candidate", new Set(repairs.flatMap(candidateKeys)));
  }

  /** Skips must not fill the journal: ten containers of one pod and image are one line. */
  #skipped(skip: Skip): void {
    const { failure: { pod, image }, reason, advice } = skip;
    const text = `cannot repair ${shortened(image, LONGEST_NAME)} for pod ${podName(pod)}: ${reason}: ${advice}`;
    // The operator excluded it on purpose.
    const level = reason === "excluded" ? "info" : "warning";
    this.logThrottled(level, skipKey(skip), "Plan", text, { image, pod: podName(pod), reason });
  }

  #detected(level: Level, { pod, container, reason, image, message }: Failure): void {
    const fields = { pod: podName(pod), container, image };
    this.log(level, "Validate", `Detected pod ${pod.name} in ${pod.phase || "unknown"} state.`, fields);
    const subject = `Detected container ${container} in pod ${pod.name}`;
    this.log(level, "Validate", `${subject} status is ${reason}`, fields);
    this.log(level, "Validate", `${subject} reason: ${reason}`, fields);
    if (message !== "") this.log("debug", "Validate", `${subject} message: ${message}`, fields);
  }

  started({ image, reference }: Target): void {
    const { domain, path, tag, digest } = reference;
    const last = digest === undefined ? `:${tag}` : `@${digest}`;
    const chunks = [domain, ...`${path}${last}`.split("/")];
    this.log("info", "ReplaceImageRegistry", `got chunks: [${chunks.join(" ")}]`, { image });
  }

  pulling({ image }: Target, { reference }: Candidate): void {
    this.log("info", "PullImage", `pulling image: ${reference}`, { image, candidate: reference });
  }

  candidateFailed(target: Target, { candidate, failure, message, whole }: CandidateAttempt): void {
    const level = failure === "cooling-down" ? "debug" : "info";
    const fields = { image: target.image, candidate: candidate.reference, failure };
    this.logThrottled(level, candidateKey(target, candidate), "PullImage", `no image: ${message}`, fields);
    if (whole !== undefined) this.log("debug", "PullImage", `no image, in full: ${whole}`, fields);
  }

  tagged({ image }: Target, { reference }: Candidate, name: string): void {
    this.log("info", "TagImage", `tagged image: ${reference} to ${name}`, { image, candidate: reference });
  }

  finished({ repair, outcome, seconds, nextTrySeconds }: RepairEnd): void {
    const pods = namePods(repair.failures);
    const fields = { image: repair.image, result: outcome.result };
    switch (outcome.result) {
      case "repaired": {
        this.throttle.forget(repairKey(repair));
        const { candidate, digest } = outcome;
        const from = `${candidate.mirror}${digest === undefined ? "" : `, ${digest}`}`;
        const since = this.#secondsSinceDetection(repair);
        const waited = since !== undefined && since - seconds > WAIT_WORTH_SAYING;
        const took = `${seconds.toFixed(1)} s${waited ? `, ${since.toFixed(1)} s after it was detected` : ""}`;
        return this.log("info", "Repair", `repaired ${repair.image} for ${pods} in ${took} (from ${from})`, {
          ...fields,
          digest,
          mirror: candidate.mirror,
          seconds,
          ...(waited && { secondsSinceDetection: since }),
        });
      }
      case "already-present":
        return this.logThrottled(
          repair.failures.every(isCreating) ? "debug" : "info",
          repairKey(repair),
          "Repair",
          `${repair.image} is already present, left alone; ${pods} will start when the kubelet retries`,
          fields,
        );
      case "failed":
        return this.#failed(repair, outcome, pods, nextTrySeconds);
    }
  }

  /** Seconds since a pass first saw that the image is missing; undefined if no pod waits for it any more. */
  #secondsSinceDetection({ failures }: Repair): number | undefined {
    const times = failures.flatMap((failure) => this.#detectedAt.get(keyOf(failure)) ?? []);
    return times.length === 0 ? undefined : (this.now() - Math.min(...times)) / 1000;
  }

  #failed(
    repair: Repair,
    { reason, message, runtimeSilent = false }: Failed,
    pods: string,
    nextTrySeconds: number | undefined,
  ): void {
    const [image, waiting] = [repair.image, pods].map((text) => shortened(text, LONGEST_NAME));
    const head = `cannot repair ${image} for ${waiting}: ${reason === undefined ? "" : `${reason}: `}`;
    const next = nextTrySeconds === undefined ? "" : `; next try in ${Math.ceil(nextTrySeconds)} s`;
    const fields = { image: repair.image, result: "failed", ...(reason === undefined ? {} : { reason }) };
    // Consecutive failures seldom have the same text, so a new reason is news, not a new text.
    const news = this.throttle.shouldLog(
      repairKey(repair),
      reason ?? (runtimeSilent ? "silent" : "failed"),
      this.now(),
    );
    // A silent runtime gets one warning, not one for each image.
    const level = !news ? "debug" : runtimeSilent ? "info" : "warning";
    const told = level === "debug" ? message : shortenedInside(message, LONGEST_ENTRY - head.length - next.length);
    this.log(level, "Repair", `${head}${told}${next}`, fields);
    if (told !== message) this.log("debug", "Repair", `${head}${message}${next}`, fields);
  }

  /**
   * The runtime does not answer. `because` differs from call to call, so a change of it is not
   * news.
   */
  runtimeSilent(silence: Silence): void {
    const text = `${silenceText(silence)}: no image can be pulled until it does`;
    const { short } = this.#silent = silence.runtime;
    this.log(this.throttle.shouldLog("runtime", "silent", this.now()) ? "warning" : "debug", short, text);
  }

  /** The runtime answered. */
  runtimeAnswers(): void {
    if (this.#silent === undefined) return;
    const { short, called, socket } = this.#silent;
    this.log("info", short, `${called} at ${socket} answers again`);
    this.throttle.forget("runtime");
    this.#silent = undefined;
  }

  /** The runtime's events arrive. */
  eventsArrive({ called }: RuntimeName): void {
    if (this.throttle.forget("events")) this.log("info", "Events", `${called}'s events arrive again`);
    else this.log("debug", "Events", `${called}'s events arrive`);
  }

  /**
   * The runtime's events do not arrive; passes follow the poll interval until they do. There is no
   * warning if the stream was open, since it is reopened first, or if the runtime does not answer,
   * which is reported elsewhere.
   */
  eventsBroke(error: unknown, wasOpen: boolean): void {
    const text = `polling until the events are back: ${describeError(error)}`;
    if (wasOpen || isSilence(error)) this.log("debug", "Events", text);
    else this.logThrottled("warning", "events", "Events", text);
  }

  /** The rules cannot provide an image of the `keep` list. */
  cannotKeep(image: string, { reason, advice }: Refusal): void {
    this.logThrottled("warning", `keep:${image}`, "Keep", `cannot keep ${image}: ${reason}: ${advice}`, {
      image,
      reason,
    });
  }

  cannotLookAfterKept(images: readonly string[], error: unknown): void {
    const text = `cannot check ${several(images)} of the keep list: ${describeError(error)}`;
    if (isSilence(error)) this.log("debug", "Keep", text);
    else this.logThrottled("warning", "keep", "Keep", text);
  }

  ledgerFailed(error: unknown): void {
    this.logThrottled("warning", "ledger", "Ledger", `${describeError(error)}; repairs continue`);
  }

  /** A pass ended; `good` if the kubelet listed its pods. */
  passed(good: boolean, seconds: number): void {
    this.log("debug", "Main", `this pass ${good ? "took" : "failed after"} ${seconds.toFixed(2)} s`);
  }

  /** An unexpected error: the pass is lost, the daemon continues. */
  unexpected(error: unknown): void {
    this.logThrottled("error", "unexpected", "Main", `this pass failed: ${describeError(error)}`);
  }
}

function isSilence(error: unknown): boolean {
  return error instanceof RuntimeError && error.silence !== undefined;
}

/** Returns a list such as `default/a, default/b and 8 more`, with each pod once. */
export function namePods(failures: readonly Failure[]): string {
  const pods = podNames(failures);
  return pods.length === 0 ? "the keep list" : several(pods);
}

function keyOf({ pod, container, image }: Failure): string {
  return `${pod.uid}/${podName(pod)}/${container}/${image}`;
}

function skipKey({ failure: { pod, image } }: Skip): string {
  return `skip:${pod.uid}/${podName(pod)}/${image}`;
}

function repairKey({ name }: Target): string {
  return `repair:${name}`;
}

function candidateKey({ name }: Target, { reference }: Candidate): string {
  return `candidate:${name} ${reference}`;
}

function candidateKeys(target: Target): string[] {
  return target.candidates.map((candidate) => candidateKey(target, candidate));
}
