// When the next pass is due. Events bring it forward, containers that are about to start keep it quick, and a slow safety
// poll remains. Time and chance are handed in; all times are milliseconds.

/** Seconds between passes: without events, and with them; `jitter` is the share by which a pause may differ. */
export interface PollSettings {
  readonly intervalSeconds: number;
  readonly safetySeconds: number;
  readonly jitter: number;
}

/** What a pass left behind that decides about the next. */
export interface PassResult {
  /** Containers wait to be created: if their image fails, it will be soon. */
  readonly creating: boolean;
  /** The kubelet gave no pods. */
  readonly failed: boolean;
}

/**
 * What brought a pass forward. A sandbox that starts is `urgent`: the kubelet tries the pod's images within the next
 * second. A container that ended, or an image that went away, may matter, and mostly does not.
 */
export type Urgency = "urgent" | "lazy";

/** So many passes may follow urgent events at once; one more may each second. A storm of events costs a handful. */
const MOST_TOKENS = 5;
const TOKEN_MS = 1000;
/** A lazy event has this time to be joined by others. */
const LAZY_MS = 300;
/** After an urgent event passes follow at this gap, and then at this share of the time since: failures show soon after. */
const BURST_GAP_MS = 200;
const BURST_SHARE = 0.15;
/** The kubelet shows a new pod's containers within this time; until then nothing tells whether one is creating. */
const BURST_MS = 2000;
/** No pass follows another sooner, whatever there is to try again. */
const RETRY_GAP_MS = 500;

/** Keeps the time of the passes. */
export class PassSchedule {
  #passedAt = -Infinity;
  #result: PassResult = { creating: false, failed: true };
  #pollAt = -Infinity;
  /** The last urgent event, and whether a pass has followed it. */
  #hintedAt = -Infinity;
  #hinted = false;
  #lazyAt = Infinity;
  /** As of #passedAt. */
  #tokens = MOST_TOKENS;

  /** An event arrived. */
  hint(now: number, urgency: Urgency): void {
    if (urgency === "lazy") {
      this.#lazyAt = Math.min(this.#lazyAt, now + LAZY_MS);
      return;
    }
    this.#hintedAt = now;
    this.#hinted = true;
  }

  /** A pass ended; `listening` tells whether events arrive, `random` is in [0, 1). */
  passed(now: number, result: PassResult, poll: PollSettings, listening: boolean, random: number): void {
    const earned = this.#passedAt === -Infinity ? MOST_TOKENS : (now - this.#passedAt) / TOKEN_MS;
    this.#tokens = Math.min(MOST_TOKENS, this.#tokens + earned) - (this.#hinted ? 1 : 0);
    // What ended is about to be started again: from here on it is as with a pod that is new.
    if (this.#lazyAt <= now && result.creating) this.#hintedAt = now;
    if (this.#lazyAt <= now) this.#lazyAt = Infinity;
    this.#hinted = false;
    this.#passedAt = now;
    this.#result = result;
    const slow = listening && !result.failed;
    const seconds = slow ? Math.max(poll.safetySeconds, poll.intervalSeconds) : poll.intervalSeconds;
    const jitter = 1 + poll.jitter * (2 * random - 1);
    this.#pollAt = now + 1000 * seconds * jitter;
    if (result.creating) this.#pollAt = Math.min(this.#pollAt, now + 1000 * poll.intervalSeconds * jitter);
  }

  /**
   * The time at which the next pass is due. `nextTryAt` is the earliest time at which an image is to be tried again; it is
   * asked for each time, since repairs end between passes.
   */
  dueAt(nextTryAt?: number): number {
    const due = [this.#pollAt, this.#lazyAt];
    const tokenWait = Math.max(0, 1 - this.#tokens) * TOKEN_MS;
    if (this.#hinted) due.push(Math.max(this.#hintedAt, this.#passedAt + tokenWait));
    const sinceHint = this.#passedAt - this.#hintedAt;
    if (this.#result.creating || sinceHint < BURST_MS) {
      due.push(this.#passedAt + Math.max(BURST_GAP_MS, tokenWait, BURST_SHARE * sinceHint));
    }
    // Without pods nothing is tried again: that waits for a kubelet that answers, at the poll interval.
    if (nextTryAt !== undefined && !this.#result.failed) {
      due.push(Math.max(nextTryAt, this.#passedAt + RETRY_GAP_MS));
    }
    return Math.min(...due);
  }
}
