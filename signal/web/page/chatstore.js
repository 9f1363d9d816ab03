// The messages of this tab, kept across a reload.

const maxLines = 200;
const maxCharacters = 100000; // of all texts together
const maxName = 256;

/**
 * @typedef {object} ChatLine
 * @property {string} name of the sender
 * @property {string} text
 * @property {boolean} mine whether we sent it
 */

/** ChatStore keeps the last messages of one user name. */
export class ChatStore {
  #store;
  #owner = '';
  /** @type {ChatLine[]} */
  #lines = [];
  #characters = 0;

  /** @param {{read(): unknown, write(value: unknown): void}} store */
  constructor(store) {
    this.#store = store;
  }

  /**
   * Returns the stored messages of a user, oldest first. Those of another user are dropped: the
   * same tab may sign in under another name.
   * @param {string} owner
   * @returns {ChatLine[]}
   */
  open(owner) {
    this.#owner = owner;
    this.#lines = [];
    this.#characters = 0;
    const stored = /** @type {any} */ (this.#store.read());
    if (stored?.owner !== owner || !Array.isArray(stored.lines)) return [];
    for (const line of stored.lines.filter(isLine).slice(-maxLines)) this.#push(line);
    return [...this.#lines];
  }

  /** @param {ChatLine} line */
  add({name, text, mine}) {
    this.#push({name: name.slice(0, maxName), text: text.slice(0, maxCharacters), mine});
  }

  /** Writes what was added: before the page is left, and now and then, not at each message. */
  flush() {
    if (this.#owner) this.#store.write({owner: this.#owner, lines: this.#lines});
  }

  /** Forgets the messages, in the store too. */
  clear() {
    this.#owner = '';
    this.#lines = [];
    this.#characters = 0;
    this.#store.write(null);
  }

  /** @param {ChatLine} line */
  #push(line) {
    this.#lines.push(line);
    this.#characters += line.text.length;
    while (this.#lines.length > maxLines || this.#characters > maxCharacters) {
      this.#characters -= this.#lines.shift()?.text.length ?? 0;
    }
  }
}

/**
 * Reports whether a stored value is a message.
 * @param {any} value
 */
function isLine(value) {
  return typeof value?.name === 'string' && value.name.length <= maxName &&
    typeof value.text === 'string' && value.text.length <= maxCharacters && typeof value.mine === 'boolean';
}
