// Text over data channels.

const label = 'channel1';
const grace = 300; // ms

/**
 * TextChannel listens on every channel and knows which one to speak on. Our page
 * and the terminal use the one that the caller opens. An original text page opens
 * one itself, whoever calls, and hears only that one. So: the peer's channel of the
 * label if it opened one, else ours. Whether the peer opens one shows only a moment
 * after ours has opened: what is said before then waits that moment.
 * on: {open(), text(string), binary(bytes), sent(string), unsent(string, error)}.
 */
export class TextChannel {
  #on;
  #own = null;
  #theirs = null;
  #queue = [];
  #waiting = false; // for the peer's channel
  #timer = 0;
  #said = false; // open() was called
  #over = false; // what still arrives belongs to no call

  constructor(on) {
    this.#on = on;
  }

  /** Opens the caller's channel. */
  open(pc) {
    this.#own = pc.createDataChannel(label);
    this.#listen(this.#own, () => {
      this.#waiting = true;
      this.#timer = setTimeout(() => {
        this.#waiting = false;
        this.#flush();
      }, grace);
    });
  }

  /** Takes a channel that the peer has opened. */
  take(channel) {
    this.#listen(channel, () => {
      if (channel.label === label || !this.#own && !this.#theirs) this.#theirs = channel;
      this.#flush();
    });
  }

  /** Says text as soon as there is a channel. */
  say(text) {
    this.#queue.push(text);
    this.#flush();
  }

  close() {
    this.#over = true;
    clearTimeout(this.#timer);
    return this.#queue.splice(0); // what was never sent
  }

  #listen(channel, opened) {
    channel.binaryType = 'arraybuffer';
    channel.onmessage = e => {
      if (this.#over) return;
      if (typeof e.data === 'string') this.#on.text(e.data);
      else this.#on.binary(e.data.byteLength);
    };
    let known = false; // a channel of the peer is open when it is announced, and opens once more after that
    channel.onopen = () => {
      if (known || this.#over) return;
      known = true;
      opened();
      if (!this.#said) {
        this.#said = true;
        this.#on.open();
      }
    };
    if (channel.readyState === 'open') channel.onopen();
  }

  #speaking() {
    if (this.#theirs?.readyState === 'open') return this.#theirs;
    if (this.#own?.readyState === 'open' && !this.#waiting) return this.#own;
    return null;
  }

  #flush() {
    const channel = this.#speaking();
    while (channel && this.#queue.length) {
      const text = this.#queue.shift();
      try {
        channel.send(text);
        this.#on.sent(text);
      } catch (error) {
        this.#on.unsent(text, error); // larger than the peer takes, or its buffer is full
      }
    }
  }
}
