// Lets few probes of one mirror through until it answers.

/** So many probes are under way at once at a mirror that has not answered the last one. */
const FIRST_PROBES = 4;

/**
 * The probes of one mirror. One that answers may be asked about every queued image; one that fails
 * each time is asked a few times, until its cool-down is known.
 */
export class ProbeGate {
  #answers = false;
  #underWay = 0;
  #ended = Promise.withResolvers<void>();

  /**
   * Runs `probe` when it may; it returns undefined if it did not ask. Throws what it throws, or the
   * signal's reason.
   */
  async with<T>(signal: AbortSignal, probe: () => Promise<T | undefined>): Promise<T | undefined> {
    while (!this.#answers && this.#underWay >= FIRST_PROBES) await this.#ended.promise;
    signal.throwIfAborted();
    this.#underWay++;
    try {
      const answer = await probe();
      if (answer !== undefined) this.#answers = true;
      return answer;
    } catch (error) {
      if (!signal.aborted) this.#answers = false;
      throw error;
    } finally {
      this.#underWay--;
      this.#ended.resolve();
      this.#ended = Promise.withResolvers();
    }
  }
}
