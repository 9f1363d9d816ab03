// The numbers of the messages of one session, by which it is resumed. signal/doc.go specifies them
// in the section Resumption.

const ackEvery = 16; // received messages

/**
 * Sequence numbers the messages of one session in both directions, and keeps those it sends until
 * they are acknowledged: so each message is delivered once, in order, over several connections.
 */
export class Sequence {
  #sent = 0; // number of the last message sent
  #received = 0; // number of the last message received
  #acked = 0; // what of received the server knows
  /** @type {{number: number, frame: string}[]} */
  #unacked = [];

  get received() { return this.#received; }

  /** How many messages are kept. */
  get unacked() { return this.#unacked.length; }

  /**
   * Returns the frame of a message, and keeps it.
   * @param {object} message
   */
  next(message) {
    const number = ++this.#sent;
    const frame = JSON.stringify({...message, seq: number, ack: this.#received});
    this.#acked = this.#received;
    this.#unacked.push({number, frame});
    return frame;
  }

  /**
   * Handles the numbers of a message of the server. Returns whether the message is "new", was
   * received "before", or comes after one that is "missing".
   * @param {unknown} seq
   * @param {unknown} ack
   */
  receive(seq, ack) {
    if (isNumber(ack)) this.#acknowledge(ack);
    if (!isNumber(seq)) return 'new';
    if (seq <= this.#received) return 'before';
    if (seq > this.#received + 1) return 'missing';
    this.#received = seq;
    return 'new';
  }

  /** Returns the frame that acknowledges what was received, or null if none is due. */
  dueAck() {
    if (this.#received - this.#acked < ackEvery) return null;
    this.#acked = this.#received;
    return JSON.stringify({type: 'ack', ack: this.#received});
  }

  /**
   * Returns the frames to send again to a server whose last received message has the number ack, or
   * null if that cannot be.
   * @param {unknown} ack
   */
  replay(ack) {
    if (ack !== undefined && !isNumber(ack)) return null;
    const number = ack ?? 0;
    if (number > this.#sent || number < this.#sent - this.#unacked.length) return null;
    this.#acknowledge(number);
    this.#acked = this.#received;
    return this.#unacked.map(m => m.frame);
  }

  /** @param {number} ack */
  #acknowledge(ack) {
    if (ack <= this.#sent) this.#unacked = this.#unacked.filter(m => m.number > ack);
  }
}

/** @type {(value: unknown) => value is number} */
function isNumber(value) {
  return Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0;
}
