// What both directions of a transfer of files have: peer/filetransfer/doc.go specifies it. The sender
// opens a channel for each transfer.

export const protocol = 'parley.files.1';
export const version = 1;

const maxControl = 65536; // bytes
const maxWaiting = 4 * 2 ** 20, lowWaiting = 2 ** 20; // bytes that wait in the channel

/** Ended is why a transfer is over before its end. */
export class Ended extends Error {
  /**
   * @param {'refused' | 'failed' | 'broken'} kind
   * @param {string} code
   * @param {string} reason
   */
  constructor(kind, code, reason, byPeer = false) {
    super(reason);
    this.kind = kind;
    this.code = code;
    this.byPeer = byPeer;
  }
}

/** @type {(code: string, reason: string) => Ended} */
export const refused = (code, reason) => new Ended('refused', code, reason);
/** @type {(code: string, reason: string) => Ended} */
export const failed = (code, reason) => new Ended('failed', code, reason);
const broken = () => new Ended('broken', '', 'the channel was closed before all files were there');

/** Pipe is a channel as something to await. */
class Pipe {
  maxInbox = Infinity; // bytes that may wait to be read
  #channel;
  /** @type {(string | ArrayBuffer)[]} */
  #inbox = [];
  #inboxSize = 0;
  /** @type {(() => void)[]} called when anything changes */
  #waiting = [];
  /** @type {Error | null} */
  #over = null;

  /** @param {RTCDataChannel} channel */
  constructor(channel) {
    this.#channel = channel;
    channel.binaryType = 'arraybuffer';
    channel.bufferedAmountLowThreshold = lowWaiting;
    channel.onmessage = e => {
      this.#inboxSize += size(e.data);
      if (this.#inboxSize <= this.maxInbox) this.#inbox.push(e.data);
      else this.fail(refused('limit', 'more was sent than is kept before an answer'));
      this.#wake();
    };
    channel.onclose = channel.onerror = () => this.fail(broken());
    channel.onopen = channel.onbufferedamountlow = () => this.#wake();
  }

  /** Ends every later wait, once what came was read. */
  fail(/** @type {Error} */ error) {
    this.#over ??= error;
    this.#wake();
  }

  /** Waits until there is something: a string, or a Uint8Array. */
  async next() {
    await this.#until(() => this.#inbox.length);
    const data = this.#inbox.shift() ?? '';
    this.#inboxSize -= size(data);
    return typeof data === 'string' ? data : new Uint8Array(data);
  }

  /** Waits until the transfer is over, and throws why. */
  async over() {
    await this.#until(() => false);
  }

  /** Waits until the channel is open and has room, and sends. */
  async send(/** @type {any} */ data) {
    await this.#until(() => this.#channel.readyState === 'open' && this.#channel.bufferedAmount <= maxWaiting && !this.#over);
    try {
      this.#channel.send(data);
    } catch {
      throw broken();
    }
  }

  say(/** @type {object} */ message) { return this.send(JSON.stringify(message)); }

  /** Sends why it is over, if the peer does not know, and closes. */
  close(/** @type {any} */ error = null) {
    if (error instanceof Ended && !error.byPeer && error.kind !== 'broken' && this.#channel.readyState === 'open') {
      const {code, message: reason} = error;
      try {
        this.#channel.send(JSON.stringify({type: error.kind === 'refused' ? 'refuse' : 'error', code, reason}));
      } catch { /* its buffer is full */ }
    }
    this.fail(broken());
    this.#channel.close();
  }

  async #until(/** @type {() => unknown} */ holds) {
    while (!holds()) {
      if (this.#over) throw this.#over;
      await new Promise(resolve => this.#waiting.push(() => resolve(undefined)));
    }
  }

  #wake() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** @param {string | ArrayBuffer} data */
function size(data) {
  return typeof data === 'string' ? data.length : data.byteLength;
}

/**
 * Returns the control message in a string. Throws an error or refusal of the peer.
 * @param {string | Uint8Array} data
 * @returns {any}
 */
export function parse(data) {
  let m = null;
  try {
    m = typeof data === 'string' && data.length <= maxControl ? JSON.parse(data) : null;
  } catch { /* no JSON */ }
  if (typeof m !== 'object' || m === null || typeof m.type !== 'string') throw failed('protocol', 'a control message is none');
  for (const key of ['size', 'data', 'offset', 'bytes', 'file', 'entries']) {
    if (key in m && !(Number.isSafeInteger(m[key]) && m[key] >= 0)) throw failed('protocol', `${key} is no number that may be there`);
  }
  if (m.type !== 'refuse' && m.type !== 'error') return m;
  const reason = typeof m.reason === 'string' ? m.reason.slice(0, 500) : 'no reason was given';
  throw new Ended(m.type === 'refuse' ? 'refused' : 'failed', String(m.code).slice(0, 64), reason, true);
}

/**
 * @typedef {object} TransferEvents
 * @property {() => void} accepted
 * @property {(bytes: number) => void} moved
 */

/** Transfer is one transfer, in one of the directions. */
export class Transfer {
  pipe;

  /** @param {RTCDataChannel} channel */
  constructor(channel) {
    this.pipe = new Pipe(channel);
  }

  /** Transfers the files. @returns {Promise<void>} */
  async work() {}

  cancel() { this.pipe.fail(failed('cancelled', 'it was cancelled')); }

  /** Handles the end of the call, which the browser does not report to the side that closed it. */
  lose() { this.pipe.fail(broken()); }

  /** Runs to the end; throws an Ended. */
  async run() {
    try {
      await this.work();
      this.pipe.close();
    } catch (error) {
      this.pipe.close(error);
      throw error instanceof Ended ? error : failed('protocol', String(error));
    }
  }
}
