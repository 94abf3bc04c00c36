// Decides when the next pass is due. Events bring it forward, containers that are about to start
// keep passes frequent, and a slow safety poll remains. Time and randomness are arguments; all
// times are in milliseconds.

/**
 * Seconds between passes: `intervalSeconds` without events, `safetySeconds` with them. `jitter` is
 * the share by which a pause may vary.
 */
export interface PollSettings {
  readonly intervalSeconds: number;
  readonly safetySeconds: number;
  readonly jitter: number;
}

/** The result of a pass, as far as it affects the next one. */
export interface PassResult {
  /** Containers are waiting to be created; if their image fails, it fails soon. */
  readonly creating: boolean;
  /** The kubelet did not list its pods. */
  readonly failed: boolean;
}

/**
 * How soon a pass must follow an event. A started sandbox is `urgent`: the kubelet tries the pod's
 * images within the next second. An ended container or a removed image is `lazy`: it may matter,
 * but mostly does not.
 */
export type Urgency = "urgent" | "lazy";

/**
 * This many passes may follow urgent events at once, and one more each second. A storm of events
 * costs a handful of passes.
 */
const MOST_TOKENS = 5;
const TOKEN_MS = 1000;
/** How long a lazy event waits for others to join it. */
const LAZY_MS = 300;
/**
 * After an urgent event, passes follow at this gap, and later at this share of the time since the
 * event: failures show soon after it.
 */
const BURST_GAP_MS = 200;
const BURST_SHARE = 0.15;
/**
 * The kubelet lists a new pod's containers within this time; until then nothing shows whether one
 * is being created.
 */
const BURST_MS = 2000;
/** The minimum gap between passes when an image is due for a retry. */
const RETRY_GAP_MS = 500;

/** The schedule of the passes. */
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

  /** Records an event. */
  hint(now: number, urgency: Urgency): void {
    if (urgency === "lazy") {
      this.#lazyAt = Math.min(this.#lazyAt, now + LAZY_MS);
      return;
    }
    this.#hintedAt = now;
    this.#hinted = true;
  }

  /** Records the end of a pass. `listening` is whether events arrive; `random` is in [0, 1). */
  passed(now: number, result: PassResult, poll: PollSettings, listening: boolean, random: number): void {
    const earned = this.#passedAt === -Infinity ? MOST_TOKENS : (now - this.#passedAt) / TOKEN_MS;
    this.#tokens = Math.min(MOST_TOKENS, this.#tokens + earned) - (this.#hinted ? 1 : 0);
    // A container that ended is about to start again: treat it like one in a new pod.
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
   * Returns the time at which the next pass is due. `nextTryAt` is the earliest time to retry an
   * image; it is passed on each call because repairs end between passes.
   */
  dueAt(nextTryAt?: number): number {
    const due = [this.#pollAt, this.#lazyAt];
    const tokenWait = Math.max(0, 1 - this.#tokens) * TOKEN_MS;
    if (this.#hinted) due.push(Math.max(this.#hintedAt, this.#passedAt + tokenWait));
    const sinceHint = this.#passedAt - this.#hintedAt;
    if (this.#result.creating || sinceHint < BURST_MS) {
      due.push(this.#passedAt + Math.max(BURST_GAP_MS, tokenWait, BURST_SHARE * sinceHint));
    }
    // Without pods nothing is retried: retries wait, at the poll interval, for a kubelet that
    // answers.
    if (nextTryAt !== undefined && !this.#result.failed) {
      due.push(Math.max(nextTryAt, this.#passedAt + RETRY_GAP_MS));
    }
    return Math.min(...due);
  }
}
