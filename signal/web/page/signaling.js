// The WebSocket to the server, dialect "call": one JSON object a frame.

import {iceServers, renewalIn} from './ice.js';

const firstRetry = 500, longestRetry = 15000; // ms
const loginLimit = 10000; // ms without an answer to a login
const largestFrame = 1 << 20; // characters
const longestQueue = 500; // messages kept while the server is away
/** Close codes after which the same attempt fails again. */
export const finalCodes = new Set([1002, 1003, 1007, 1008, 1009, 4400, 4401, 4403, 4409]);
/** Codes of refused logins for which the same holds. */
const finalRefusals = new Set(['unauthorized', 'bad_name', 'bad_message']);
const loginExpired = 4401;

/** Where the server listens: on the address the page came from. */
export function serverURL() {
  const url = new URL('./', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

/**
 * Signaling signs in, comes back under the same name when the connection is
 * lost, and hands on what it receives. token is null where none is wanted.
 * on: {login(refusal | null), lost(), ended(words), message(object)}; ended is the
 * end of a session for good, such as an expired token, and why.
 */
export class Signaling {
  #url;
  #token;
  #on;
  #socket = null;
  #name = null; // the name asked for or held
  #signedIn = false; // now
  #wasSignedIn = false; // under this name, ever
  #queue = [];
  #retries = 0;
  #timer = 0;
  #loginTimer = 0;
  #iceTimer = 0;

  iceServers = []; // fresh: their credentials are for a limited time

  constructor(url, token, on) {
    this.#url = url;
    this.#token = token ?? undefined;
    this.#on = on;
    addEventListener('online', () => this.#retryNow());
    // A page that comes out of the back-forward cache has lost its socket.
    addEventListener('pageshow', e => { if (e.persisted) this.#retryNow(); });
  }

  get name() { return this.#name; }

  signIn(name) {
    this.#name = name;
    this.#wasSignedIn = false;
    this.#retries = 0;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#login();
    else this.#connect();
  }

  signOut() {
    this.#name = null;
    this.#signedIn = this.#wasSignedIn = false;
    this.#queue = [];
    clearTimeout(this.#timer);
    clearTimeout(this.#loginTimer);
    clearTimeout(this.#iceTimer);
    this.#drop();
  }

  /** Uses another token from now on, and renews the session with it. */
  renew(token) {
    this.#token = token;
    if (this.#signedIn && this.#socket.readyState === WebSocket.OPEN) this.#sendLogin();
  }

  /** Messages keep their order; those said while the server is away are sent later. */
  send(message) {
    if (this.#signedIn && this.#socket.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify(message));
    } else if (this.#name !== null && this.#queue.length < longestQueue) {
      this.#queue.push(message);
    }
  }

  #connect() {
    this.#drop();
    clearTimeout(this.#timer);
    const socket = this.#socket = new WebSocket(this.#url);
    socket.onopen = () => this.#login();
    socket.onmessage = e => this.#receive(e.data);
    socket.onclose = e => {
      if (this.#wasSignedIn && finalCodes.has(e.code)) this.#end(e.code, e.reason);
      else this.#lost();
    };
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #sendLogin() {
    this.#socket.send(JSON.stringify({type: 'login', name: this.#name, token: this.#token, iceServers: true}));
  }

  #login() {
    this.#sendLogin();
    clearTimeout(this.#loginTimer);
    this.#loginTimer = setTimeout(() => this.#lost(), loginLimit);
  }

  #lost() {
    clearTimeout(this.#loginTimer);
    clearTimeout(this.#iceTimer);
    this.#signedIn = false;
    this.#drop();
    if (this.#name === null) return;
    if (!this.#wasSignedIn) {
      this.#name = null;
      this.#on.login('The signaling server does not answer. Is it running?');
      return;
    }
    // Full jitter: when a server restarts, its users do not come all at once.
    const most = Math.min(longestRetry, firstRetry * 2 ** this.#retries++);
    this.#timer = setTimeout(() => this.#connect(), Math.random() * most);
    this.#on.lost();
  }

  /** Ends a session for which another try would fail again. */
  #end(code, reason) {
    this.signOut();
    if (code === loginExpired) this.#on.ended('Your sign-in has expired. Open a new link to sign in again.');
    else this.#on.ended(`The signaling server ended the session: ${reason || `code ${code}`}`);
  }

  #retryNow() {
    if (this.#wasSignedIn && !this.#signedIn) this.#connect();
  }

  #receive(data) {
    const message = parse(data);
    if (message?.type === 'login') this.#answered(message);
    else if (message?.type === 'iceServers') this.#takeServers(message);
    else if (message?.type === 'expiring') this.renew(this.#token); // the server may let it last longer
    else if (message) this.#on.message(message);
  }

  /** Only a server of ours says for how long they are good, and has an answer to the question for others. */
  #takeServers(message) {
    this.iceServers = iceServers(message.iceServers);
    clearTimeout(this.#iceTimer);
    const wait = renewalIn(message.iceServersFor);
    if (wait) this.#iceTimer = setTimeout(() => { if (this.#signedIn) this.send({type: 'iceServers'}); }, wait);
  }

  #answered(message) {
    clearTimeout(this.#loginTimer);
    if (this.#name === null) return;
    if (this.#signedIn) { // a renewal; if it is refused the session goes on until it expires
      if (message.success === true) this.#takeServers(message);
    } else if (message.success === true) {
      this.#signedIn = this.#wasSignedIn = true;
      this.#retries = 0;
      this.#takeServers(message);
      this.#on.login(null);
      for (const m of this.#queue.splice(0)) this.send(m);
    } else if (this.#wasSignedIn && finalRefusals.has(message.code)) {
      this.#end(message.code === 'unauthorized' ? loginExpired : 0, String(message.message ?? ''));
    } else if (this.#wasSignedIn) {
      // The server may still hold our name for the connection it has not yet seen die.
      this.#lost();
    } else {
      const name = this.#name;
      this.#name = null;
      this.#on.login(typeof message.message === 'string' ? message.message : `The name ${name} is taken. Choose another one.`);
    }
  }
}

/** An object with a type, or null: the original server also greets in plain text. */
function parse(data) {
  if (typeof data !== 'string' || data.length > largestFrame) return null;
  try {
    const message = JSON.parse(data);
    return typeof message?.type === 'string' ? message : null;
  } catch {
    return null;
  }
}
