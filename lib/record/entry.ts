// The entries of the ledger, and its interface. Pure: modules that do not touch the disk use
// entries too.

import { podNames } from "../kubelet/failures.ts";
import type { NotServed, ServedPull } from "../proxy/observer.ts";
import type { RepairEnd } from "../repair/observer.ts";

/**
 * What happened to one image. Times are ISO 8601, durations seconds, sizes bytes. An entry never
 * contains a secret.
 */
export interface LedgerEntry {
  readonly time: string;
  readonly result: "repaired" | "served" | "already-present" | "failed" | "unrepairable";
  readonly image: string;
  /** The normalized name that the kubelet looks up. */
  readonly reference?: string;
  readonly pods: readonly string[];
  /** What requested the image if no pod did; absent in older entries. */
  readonly askedBy?: string;
  readonly reason?: string;
  /** What a person can do about it. */
  readonly advice?: string;
  readonly message?: string;
  readonly mirror?: string;
  /** The reference that was pulled from the mirror. */
  readonly candidate?: string;
  readonly tagged?: string;
  readonly id?: string;
  readonly digest?: string;
  readonly bytes?: number;
  readonly seconds?: number;
  /** How often another mirror continued a layer. */
  readonly resumed?: number;
}

/** Records outcomes. */
export interface Ledger {
  /** Appends one line. Throws LedgerError of lib/record/ledger.ts. */
  append(entry: LedgerEntry): Promise<void>;
}

/**
 * Returns the entry for a repair that ended at `time` (wall clock, in milliseconds). `askedBy` is
 * what requested the image if no pod did.
 */
export function repairEntry({ repair, outcome, seconds }: RepairEnd, time: number, askedBy: string): LedgerEntry {
  const common = {
    time: new Date(time).toISOString(),
    result: outcome.result,
    image: repair.image,
    reference: repair.name,
    pods: podNames(repair.failures),
    ...(repair.failures.length === 0 && { askedBy }),
    seconds,
  };
  switch (outcome.result) {
    case "repaired": {
      const { candidate, tagged, id, digest, bytes } = outcome;
      const from = { mirror: candidate.mirror, candidate: candidate.reference };
      return { ...common, ...from, tagged, id, ...(digest === undefined ? {} : { digest }), bytes };
    }
    case "already-present":
      return { ...common, id: outcome.id };
    case "failed":
      return { ...common, ...(outcome.reason && { reason: outcome.reason }), message: outcome.message };
  }
}

/** What requests the images of the registry proxy: it does not know the pod. */
const THE_PROXY = "a pull through the proxy";

/** Returns the entry for a pull that the registry proxy served until `time` (wall clock, in milliseconds). */
export function servedEntry(pull: ServedPull, time: number): LedgerEntry {
  const { target, candidate, digest, bytes, seconds, resumed } = pull;
  return {
    time: new Date(time).toISOString(),
    result: "served",
    image: target.image,
    reference: target.name,
    pods: [],
    askedBy: THE_PROXY,
    mirror: candidate.mirror,
    candidate: candidate.reference,
    digest,
    bytes,
    seconds,
    ...(resumed > 0 && { resumed }),
  };
}

/** Returns the entry for an image that the registry proxy did not serve. */
export function notServedEntry({ image, attempts, reason, message }: NotServed, time: number): LedgerEntry {
  return {
    time: new Date(time).toISOString(),
    result: attempts.length === 0 ? "unrepairable" : "failed",
    image,
    pods: [],
    askedBy: THE_PROXY,
    ...(reason && { reason }),
    ...(attempts.length === 0 ? { advice: message } : { message }),
  };
}
