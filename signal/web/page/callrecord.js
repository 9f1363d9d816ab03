// The record of one call, for the history.

/**
 * @typedef {'idle' | 'ringing' | 'calling' | 'answering' | 'talking'} Phase
 * @typedef {import('./history.js').CallEntry} CallEntry
 */

/** CallRecord follows the phases of a call. */
export class CallRecord {
  /** @type {CallEntry | null} */
  #entry = null;
  #answeredAt = 0; // in ms since 1970

  /**
   * Returns the entry of a call that has ended by this phase, or null.
   * @param {Phase} phase
   * @param {string} peer
   * @param {number} now in ms since 1970
   * @returns {CallEntry | null}
   */
  enter(phase, peer, now) {
    const entry = this.#entry;
    if (phase === 'idle' || entry && entry.name !== peer) {
      this.#entry = null;
      if (entry?.answered) entry.seconds = Math.max(now - this.#answeredAt, 0) / 1000;
    }
    if (phase !== 'idle') this.#entry ??= {name: peer, at: now, outgoing: phase === 'calling', answered: false, seconds: 0};
    if (phase === 'talking' && this.#entry && !this.#entry.answered) {
      this.#entry.answered = true;
      this.#answeredAt = now;
    }
    return this.#entry === entry ? null : entry;
  }
}
