// The calls of this browser, newest first.

const maxEntries = 50;
const maxName = 256; // characters

/**
 * @typedef {object} CallEntry
 * @property {string} name of the peer
 * @property {number} at when it began, in ms since 1970
 * @property {boolean} outgoing whether we called
 * @property {boolean} answered whether media or text could flow
 * @property {number} seconds how long, 0 if it was not answered
 */

/** CallHistory keeps the last 50 calls in a store. */
export class CallHistory {
  #store;

  /** @param {{read(): unknown, write(value: unknown): void}} store */
  constructor(store) {
    this.#store = store;
  }

  /** @returns {CallEntry[]} newest first */
  get entries() {
    const stored = this.#store.read();
    return Array.isArray(stored) ? stored.filter(isEntry).slice(0, maxEntries) : [];
  }

  /** @param {CallEntry} entry of a call that has ended */
  add(entry) {
    if (isEntry(entry)) this.#store.write([entry, ...this.entries].slice(0, maxEntries));
  }

  clear() {
    this.#store.write(null);
  }

  /** @returns {string[]} the peers of the last calls, each once, newest first */
  get names() {
    return [...new Set(this.entries.map(entry => entry.name))];
  }
}

/**
 * Reports whether a stored value is an entry: another version of the page may have written it.
 * @param {any} value
 */
function isEntry(value) {
  return typeof value?.name === 'string' && value.name !== '' && value.name.length <= maxName &&
    Number.isFinite(value.at) && typeof value.outgoing === 'boolean' && typeof value.answered === 'boolean' &&
    Number.isFinite(value.seconds) && value.seconds >= 0;
}

/**
 * Returns a short description of a call, such as "missed" or "outgoing, 3:05".
 * @param {CallEntry} entry
 * @param {(seconds: number) => string} clock
 */
export function describeCall(entry, clock) {
  if (!entry.answered) return entry.outgoing ? 'outgoing, not answered' : 'missed';
  return `${entry.outgoing ? 'outgoing' : 'incoming'}, ${clock(entry.seconds)}`;
}
