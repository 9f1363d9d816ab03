// The WebSocket to the signaling server, and how to connect again.

// The pause before an attempt is a random part of a time that doubles from minRetryPause to
// maxRetryPause: so the pages of a restarted server do not connect at the same time.
const minRetryPause = 250, maxRetryPause = 8000; // ms
const openTimeout = 15000; // ms

/** Close codes after which another attempt fails again; signal/doc.go lists them. */
const finalCodes = new Set([1002, 1003, 1007, 1008, 1009, 4400, 4401, 4403, 4409]);

/**
 * Reports whether another attempt after a close code fails again.
 * @param {number} code
 */
export function isFinal(code) {
  return finalCodes.has(code);
}

/** Returns where the server listens: on the address the page came from. */
export function serverURL() {
  const url = new URL('./', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

/**
 * @typedef {object} ConnectionEvents
 * @property {() => void} open
 * @property {(data: unknown) => void} message
 * @property {(code: number, reason: string) => void} closed not by close(); retry() may follow
 */

/** Connection is one WebSocket at a time. */
export class Connection {
  #url;
  #on;
  /** @type {WebSocket | null} */
  #socket = null;
  #attempts = 0;
  #isSuspended = false;
  #retryTimer = 0;
  #openTimer = 0;

  /**
   * @param {string} url
   * @param {ConnectionEvents} on
   */
  constructor(url, on) {
    this.#url = url;
    this.#on = on;
    addEventListener('online', () => this.#retryNow());
    // A page that comes out of the back-forward cache has lost its socket.
    addEventListener('pageshow', e => {
      if (!e.persisted) return;
      if (this.#isSuspended) this.connect();
      else this.#retryNow();
    });
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Connects at once, in place of the socket that there is. */
  connect() {
    this.#drop(1000);
    this.#isSuspended = false;
    const socket = this.#socket = new WebSocket(this.#url);
    socket.onopen = () => {
      clearTimeout(this.#openTimer);
      this.#on.open();
    };
    socket.onmessage = e => this.#on.message(e.data);
    socket.onclose = e => this.#closed(e.code, e.reason);
    this.#openTimer = setTimeout(() => this.fail(), openTimeout);
  }

  /** Connects after a random pause that grows from attempt to attempt. */
  retry() {
    clearTimeout(this.#retryTimer);
    const most = Math.min(maxRetryPause, minRetryPause * 2 ** this.#attempts++);
    this.#retryTimer = setTimeout(() => this.connect(), Math.random() * most);
  }

  /** Notes that the server has let us in: the next pauses are short again. */
  succeeded() {
    this.#attempts = 0;
  }

  /** Gives up a socket by which nothing comes. */
  fail() {
    this.#closed(1006, '');
  }

  /** @param {string} text */
  send(text) {
    this.#socket?.send(text);
  }

  /** Closes the socket, and connects no more. */
  close(code = 1000) {
    this.#drop(code);
    this.#attempts = 0;
  }

  /** Closes the socket of a page that is left, and connects again if the browser shows the page again. */
  suspend() {
    this.close();
    this.#isSuspended = true;
  }

  /** @param {number} code @param {string} reason */
  #closed(code, reason) {
    this.#drop(1000);
    this.#on.closed(code, reason);
  }

  /** @param {number} code */
  #drop(code) {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#openTimer);
    this.#retryTimer = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  #retryNow() {
    if (this.#retryTimer) this.connect();
  }
}
