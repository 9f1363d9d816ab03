// The numbers of the messages of one session, by which it is resumed. signal/doc.go specifies them
// in the section Resumption.

const ackEvery = 16; // received messages
const maxKept = 64, maxKeptSize = 128 << 10; // acknowledged messages and their characters

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
  /** @type {{number: number, frame: string}[]} acknowledged, for another server that continues the session */
  #kept = [];
  #keptSize = 0;

  get sent() { return this.#sent; }

  /** The number of the last message that was acknowledged. */
  get acknowledged() { return this.#sent - this.#unacked.length; }

  /** The number of the first message that replay can return. */
  get oldest() { return this.acknowledged - this.#kept.length + 1; }

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
    if (number > this.#sent || number + 1 < this.oldest) return null;
    const again = this.#kept.filter(m => m.number > number);
    this.#kept = this.#kept.filter(m => m.number <= number);
    this.#unacked = [...again, ...this.#unacked];
    this.#keptSize -= size(again);
    this.#acknowledge(number);
    this.#acked = this.#received;
    return this.#unacked.map(m => m.frame);
  }

  /** @param {number} ack */
  #acknowledge(ack) {
    if (ack > this.#sent) return;
    const acked = this.#unacked.filter(m => m.number <= ack);
    this.#unacked = this.#unacked.slice(acked.length);
    this.#kept.push(...acked);
    this.#keptSize += size(acked);
    while (this.#kept.length > maxKept || this.#keptSize > maxKeptSize) this.#keptSize -= size(this.#kept.splice(0, 1));
  }
}

/** @param {{frame: string}[]} messages */
function size(messages) { return messages.reduce((sum, m) => sum + m.frame.length, 0); }

/** CallNumbers are the numbers of the messages of the calls of one session, for another server that continues it. */
export class CallNumbers {
  /** @type {Map<string, {name: string, caller?: boolean, first: number, last: number, received: number, left: number}>} by name of the peer */
  #of = new Map();

  /** @param {any} message a message that was sent with this number @param {number} number */
  noteSent({type, name}, number) {
    if (typeof name !== 'string' || !['offer', 'answer', 'candidate', 'leave'].includes(type)) return;
    let call = this.#of.get(name);
    if (type === 'offer' && (!call || call.left)) this.#of.set(name, call = {name, caller: true, first: 0, last: 0, received: 0, left: 0});
    if (!call || call.left) return;
    call.first ||= number;
    call.last = number;
    if (type === 'leave') call.left = number;
  }

  /** @param {any} message a message that was received */
  noteReceived({type, name, number, code}) {
    if (typeof name !== 'string') return;
    let call = this.#of.get(name);
    if (type === 'leave' || type === 'error' && code !== 'queue_full') this.#of.delete(name);
    if (type === 'offer' && (!call || call.left)) this.#of.set(name, call = {name, first: 0, last: 0, received: 0, left: 0});
    if (['offer', 'answer', 'candidate'].includes(type) && call && !call.left) call.received = isNumber(number) ? number : 0;
  }

  /** Returns the calls, without those whose leave was acknowledged: the last message that was has this number. */
  list(/** @type {number} */ acknowledged) {
    for (const [name, call] of this.#of) if (call.left && call.left <= acknowledged) this.#of.delete(name);
    return [...this.#of.values()].map(({name, caller, first, last, received}) => ({name, caller, first, last, received}));
  }
}

/** @typedef {{token: string, sequence: Sequence, calls: CallNumbers}} Resumable what a session is resumed by */

/**
 * Returns the members of a login that resumes a session, also one that another server had, or asks for one.
 * @param {Resumable | null} session
 */
export function resumption(session) {
  if (!session) return {resume: true};
  const {received: ack, oldest, acknowledged: served, sent} = session.sequence;
  return {resume: session.token, ack, oldest, served, sent, calls: session.calls.list(served)};
}

/**
 * Returns the frame of a message of a session.
 * @param {Resumable} session @param {object} message
 */
export function numbered({sequence, calls}, message) {
  const frame = sequence.next(message);
  calls.noteSent(message, sequence.sent);
  return frame;
}

/** @type {(value: unknown) => value is number} */
function isNumber(value) {
  return Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0;
}
