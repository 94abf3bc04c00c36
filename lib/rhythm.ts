// When the next pass is due. Events bring it forward, containers that are about to start keep it quick, and a slow safety
// poll remains. Time and chance are handed in; all times are milliseconds.

/** Seconds between passes: without events, and with them; `jitter` is the share by which a pause may differ. */
export interface Tempo {
  readonly intervalSeconds: number;
  readonly safetySeconds: number;
  readonly jitter: number;
}

/** What a pass left behind that decides about the next. */
export interface Aftermath {
  /** Containers wait to be created: if their image fails, it will be soon. */
  readonly expectant: boolean;
  /** The earliest time at which an image is to be tried again. */
  readonly nextTryAt: number | undefined;
  /** The kubelet gave no pods. */
  readonly failed: boolean;
}

/** Gaps between passes while events keep coming: the first, and the longest of a storm. */
const FIRST_GAP_MS = 100;
const STORM_GAP_MS = 2000;
/** Events farther apart than this are no storm. */
const CALM_MS = 4000;
/** Passes follow an event at this gap at first, then at this share of the time since: a failure is found soon after it. */
const BURST_GAP_MS = 300;
const BURST_SHARE = 0.15;
/** The kubelet shows a new pod's containers within this time; until then nothing tells whether one is expectant. */
const BURST_MS = 3000;
/** No pass follows another sooner, whatever there is to try again. */
const RETRY_GAP_MS = 500;

/** Keeps the time of the passes. */
export class Rhythm {
  #passedAt = -Infinity;
  #aftermath: Aftermath = { expectant: false, nextTryAt: undefined, failed: true };
  #pollAt = -Infinity;
  #hintedAt = -Infinity;
  #hinted = false;
  #gap = FIRST_GAP_MS;

  /** An event arrived. */
  hint(now: number): void {
    if (now - this.#hintedAt > CALM_MS) this.#gap = FIRST_GAP_MS;
    this.#hintedAt = now;
    this.#hinted = true;
  }

  /** A pass ended; `listening` tells whether events arrive, `random` is in [0, 1). */
  passed(now: number, aftermath: Aftermath, tempo: Tempo, listening: boolean, random: number): void {
    // A storm of events costs a handful of passes: the gap doubles for as long as they keep coming.
    if (this.#hinted) this.#gap = Math.min(2 * this.#gap, STORM_GAP_MS);
    this.#hinted = false;
    this.#passedAt = now;
    this.#aftermath = aftermath;
    const slow = listening && !aftermath.failed;
    const seconds = slow ? Math.max(tempo.safetySeconds, tempo.intervalSeconds) : tempo.intervalSeconds;
    const jitter = 1 + tempo.jitter * (2 * random - 1);
    this.#pollAt = now + 1000 * seconds * jitter;
    if (aftermath.expectant) this.#pollAt = Math.min(this.#pollAt, now + 1000 * tempo.intervalSeconds * jitter);
  }

  /** The time at which the next pass is due. */
  get dueAt(): number {
    const due = [this.#pollAt];
    if (this.#hinted) due.push(Math.max(this.#hintedAt, this.#passedAt + this.#gap));
    const sinceHint = this.#passedAt - this.#hintedAt;
    if (this.#aftermath.expectant || sinceHint < BURST_MS) {
      due.push(this.#passedAt + Math.max(BURST_GAP_MS, this.#gap / 2, BURST_SHARE * sinceHint));
    }
    const { nextTryAt } = this.#aftermath;
    if (nextTryAt !== undefined) due.push(Math.max(nextTryAt, this.#passedAt + RETRY_GAP_MS));
    return Math.min(...due);
  }
}
