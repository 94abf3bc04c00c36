// What the ledger keeps of one image, and what it takes. A thinker: rooms without a disk speak of entries too.

/** What happened to one image. Times are ISO 8601, durations seconds, sizes bytes. No secret ever stands here. */
export interface LedgerEntry {
  readonly time: string;
  readonly result: "repaired" | "already-present" | "failed" | "unrepairable";
  readonly image: string;
  /** The normalised name that the kubelet looks up. */
  readonly reference?: string;
  readonly pods: readonly string[];
  /** Who wanted the image where no pod did; older entries do not tell. */
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
}

/** Where outcomes are written down. */
export interface Ledger {
  /** Adds one line. Throws LedgerError of lib/record/ledger.ts. */
  append(entry: LedgerEntry): Promise<void>;
}
