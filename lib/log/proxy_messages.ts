// All log messages of the registry proxy, in the words of a repair: what was served at info, what
// needs a person at warning, repeated only at growing intervals.

import type { Candidate } from "../images/rules.ts";
import type { CandidateAttempt } from "../plan/outcome.ts";
import type { Target } from "../plan/plan.ts";
import type { NotServed, ProxyObserver, ServedPull } from "../proxy/observer.ts";
import { describeError } from "../support/errors.ts";
import { sizeText, tookText } from "../support/units.ts";
import { SharedMessages } from "./shared_messages.ts";

/** Logs what the proxy serves: each image once, and lasting conditions at growing intervals. */
export class ProxyMessages extends SharedMessages implements ProxyObserver {
  serving({ image }: Target, { reference }: Candidate): void {
    this.log("info", "PullImage", `serving image: ${image} from ${reference}`, { image, candidate: reference });
  }

  candidateFailed({ image }: Target, { candidate, failure, message }: CandidateAttempt): void {
    const level = failure === "cooling-down" ? "debug" : "info";
    const fields = { image, candidate: candidate.reference, failure };
    this.logThrottled(level, `candidate:${image} ${candidate.reference}`, "PullImage", `no image: ${message}`, fields);
  }

  resumed({ image }: Target, { mirror }: Candidate, at: number): void {
    this.log("info", "PullImage", `${mirror} continues a layer of ${image} at byte ${at}`, { image, mirror });
  }

  served({ target, candidate, digest, bytes, seconds, resumed }: ServedPull): void {
    this.throttle.forget(`image:${target.image}`);
    const { mirror } = candidate;
    const size = bytes === 0 ? "no layer was missing" : `${sizeText(bytes)} in ${tookText(seconds)}`;
    const text = `served ${target.image}, ${size} (from ${mirror}, ${digest})`;
    this.log("info", "Proxy", text, { image: target.image, result: "served", digest, mirror, bytes, seconds, resumed });
  }

  notServed({ image, reason, message }: NotServed): void {
    const text = `cannot serve ${image}: ${reason === undefined ? "" : `${reason}: `}${message}`;
    const fields = { image, result: "failed", ...(reason === undefined ? {} : { reason }) };
    // The operator excluded it on purpose.
    const level = reason === "excluded" ? "info" : "warning";
    const news = this.throttle.shouldLog(`image:${image}`, reason ?? "failed", this.now());
    this.log(news ? level : "debug", "Proxy", text, fields);
  }

  /** A renewed certificate is in use. */
  certificateReplaced(file: string): void {
    this.throttle.forget("certificate");
    this.log("info", "Proxy", `${file} has changed and is in use`);
  }

  certificateFailed(error: unknown): void {
    const text = `the old certificate stays in use: ${describeError(error)}`;
    this.logThrottled("warning", "certificate", "Proxy", text);
  }

  ledgerFailed(error: unknown): void {
    this.logThrottled("warning", "ledger", "Ledger", `${describeError(error)}; images are served all the same`);
  }

  /** An unexpected error: the request is lost, the proxy continues. */
  unexpected(error: unknown): void {
    this.logThrottled("error", "unexpected", "Proxy", `a request failed: ${describeError(error)}`);
  }
}
