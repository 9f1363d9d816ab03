// Text over data channels.

const label = 'channel1';
const grace = 300; // ms

/**
 * Resolves when a channel that the browser reports as open can be sent on. Chromium 156 reports a
 * channel of the peer before it opens it, and drops without an error what is sent in between:
 * libwebrtc's DataChannelController::OnDataChannelOpenMessage first notifies the page, and then has
 * the network thread open the channel. A report of statistics is made by the thread that does this,
 * so it follows; what is sent after it is behind the opening in the queue of the network thread.
 * @param {RTCDataChannel} channel
 * @param {Pick<RTCPeerConnection, 'getStats'>} pc
 */
export async function sendable(channel, pc) {
  await pc.getStats().catch(() => {}); // the connection is closed
  if (channel.readyState !== 'connecting') return; // Chromium may have corrected its report meanwhile
  await new Promise(resolve => {
    for (const event of ['open', 'close']) channel.addEventListener(event, resolve, {once: true});
  });
}

/**
 * @typedef {object} TextEvents
 * @property {() => void} open
 * @property {(text: string) => void} text
 * @property {(bytes: number) => void} binary
 * @property {(text: string) => void} sent
 * @property {(text: string, error?: Error) => void} unsent
 */

/**
 * TextChannel listens on every channel and selects the one to send on. Our page and the terminal use
 * the one that the caller opens. An original text page opens one itself, whether it calls or is
 * called, and listens on that one only. So: the peer's channel of the label if it opened one, else
 * ours. Whether the peer opens one shows only a moment after ours has opened: text from before then
 * waits for that moment.
 */
export class TextChannel {
  #on;
  /** @type {RTCDataChannel | null} */
  #own = null;
  /** @type {RTCDataChannel | null} */
  #theirs = null;
  /** @type {string[]} */
  #queue = [];
  #waiting = false; // for the peer's channel
  #opening = 0; // channels of the peer that cannot be sent on yet
  #timer = 0;
  #announced = false; // open() was called
  #over = false; // what still arrives belongs to no call

  /** @param {TextEvents} on */
  constructor(on) {
    this.#on = on;
  }

  /** Opens the caller's channel. */
  open(/** @type {RTCPeerConnection} */ pc) {
    this.#own = pc.createDataChannel(label);
    this.#listen(this.#own, () => {
      this.#waiting = true;
      this.#timer = setTimeout(() => {
        this.#waiting = false;
        this.#flush();
      }, grace);
    });
  }

  /**
   * Takes a channel that the peer has opened.
   * @param {RTCDataChannel} channel
   * @param {Pick<RTCPeerConnection, 'getStats'>} pc
   */
  take(channel, pc) {
    this.#listen(channel, async () => {
      if (channel.label === label || !this.#own && !this.#theirs) this.#theirs = channel;
      this.#opening++;
      await sendable(channel, pc);
      this.#opening--;
      this.#flush();
    });
  }

  /** Sends text as soon as there is a channel. */
  say(/** @type {string} */ text) {
    this.#queue.push(text);
    this.#flush();
  }

  /** Closes it. Returns the texts that were not sent. */
  close() {
    this.#over = true;
    clearTimeout(this.#timer);
    return this.#queue.splice(0);
  }

  /** @param {RTCDataChannel} channel @param {() => void} opened */
  #listen(channel, opened) {
    channel.binaryType = 'arraybuffer';
    channel.onmessage = e => {
      if (this.#over) return;
      if (typeof e.data === 'string') this.#on.text(e.data);
      else this.#on.binary(e.data.byteLength);
    };
    let known = false; // a channel of the peer is open when it is announced, and opens once more after that
    const onopen = channel.onopen = () => {
      if (known || this.#over) return;
      known = true;
      opened();
      if (!this.#announced) {
        this.#announced = true;
        this.#on.open();
      }
    };
    if (channel.readyState === 'open') onopen();
  }

  /** Returns the channel to send on, null while there is none. */
  #current() {
    if (this.#opening) return null;
    if (this.#theirs?.readyState === 'open') return this.#theirs;
    if (this.#own?.readyState === 'open' && !this.#waiting) return this.#own;
    return null;
  }

  #flush() {
    const channel = this.#current();
    while (channel && this.#queue.length) {
      const text = this.#queue.shift() ?? '';
      try {
        channel.send(text);
        this.#on.sent(text);
      } catch (error) {
        this.#on.unsent(text, /** @type {Error} */ (error)); // larger than the peer takes, or its buffer is full
      }
    }
  }
}
