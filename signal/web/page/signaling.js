// The session with the signaling server, dialect "call": one JSON object a frame.

import {Connection, isFinal} from './connection.js';
import {ICEServers} from './ice.js';
import {explainClose, explainRefusal, isFinalRefusal} from './remedies.js';
import {CallNumbers, Sequence, numbered, resumption} from './sequence.js';

const loginTimeout = 12000; // ms
const maxFrame = 1 << 20; // characters
const maxQueue = 500; // messages kept while the server is away
const badSequence = 4400, loginExpired = 4401; // close codes

/**
 * @typedef {object} SignalingEvents
 * @property {(refusal: string | null) => void} login the answer to signIn, and null after each later
 *   login of a new session
 * @property {() => void} connected after each login and resumption
 * @property {() => void} lost the connection; another one is tried
 * @property {(why: string) => void} ended the session, for good
 * @property {(message: any) => void} message
 */

/** Signaling signs in, resumes its session when the connection is lost, and passes on what it receives. */
export class Signaling {
  #connection;
  /** @type {string | undefined} */
  #token;
  #on;
  #ice = new ICEServers(() => { if (this.#signedIn) this.send({type: 'iceServers'}); });
  /** @type {string | null} requested or held */
  #name = null;
  #signedIn = false; // now
  #wasSignedIn = false; // under this name, ever
  /** @type {{token: string, sequence: Sequence, calls: CallNumbers} | null} what the session is resumed by */
  #resumable = null;
  /** @type {object[]} messages for later, if the session cannot be resumed */
  #queue = [];
  #loginTimer = 0;

  /**
   * @param {string} url
   * @param {string | null} token null where none is needed
   * @param {SignalingEvents} on
   */
  constructor(url, token, on) {
    this.#token = token ?? undefined;
    this.#on = on;
    this.#connection = new Connection(url, {
      open: () => this.#login(),
      message: data => this.#receive(data),
      closed: (code, reason) => this.#closed(code, reason),
    });
    // The socket may belong to a network that is gone, which shows only much later.
    addEventListener('online', () => { if (this.#signedIn && this.#resumable) this.#lost(); });
  }

  get name() { return this.#name; }

  /** The latest ICE servers. */
  get iceServers() { return this.#ice.list; }

  /** @param {string} name */
  signIn(name) {
    this.#name = name;
    this.#wasSignedIn = false;
    this.#resumable = null;
    if (this.#connection.isOpen) this.#login();
    else this.#connection.connect();
  }

  /** Signs out. code is sent to the server if it has not ended the session itself. */
  signOut(code = 1000) {
    this.#name = null;
    this.#signedIn = this.#wasSignedIn = false;
    this.#resumable = null;
    this.#queue = [];
    clearTimeout(this.#loginTimer);
    this.#ice.stop();
    this.#connection.close(code);
  }

  /**
   * Ends the session of a page that is left: the name is free for the next page. A browser that has
   * kept the page, and shows it again, signs in again.
   */
  suspend() {
    if (!this.#wasSignedIn) return;
    this.#resumable = null;
    this.#forget();
    this.#connection.suspend();
  }

  /**
   * Uses another token from now on, and renews the session with it.
   * @param {string} token
   */
  renew(token) {
    this.#token = token;
    this.#renew();
  }

  /**
   * Sends a message, or keeps it while the server is away. Messages keep their order.
   * @param {object} message
   */
  send(message) {
    const isHere = this.#signedIn && this.#connection.isOpen;
    if (this.#name === null) return;
    if (this.#resumable && (isHere || this.#resumable.sequence.unacked < maxQueue)) {
      const frame = numbered(this.#resumable, message);
      if (isHere) this.#connection.send(frame);
    } else if (isHere) {
      this.#connection.send(JSON.stringify(message));
    } else if (this.#queue.length < maxQueue) {
      this.#queue.push(message);
    }
  }

  #renew() {
    if (this.#signedIn) this.send({type: 'login', name: this.#name, token: this.#token, iceServers: true});
  }

  /** Resumes the session, or begins one. */
  #login() {
    this.#connection.send(JSON.stringify({type: 'login', name: this.#name, token: this.#token, iceServers: true, ...resumption(this.#resumable)}));
    clearTimeout(this.#loginTimer);
    this.#loginTimer = setTimeout(() => this.#connection.fail(), loginTimeout);
  }

  /** @param {number} code @param {string} reason */
  #closed(code, reason) {
    if (this.#name === null) this.#forget();
    else if (!this.#wasSignedIn) this.#refuse(code === 1006 || code === 1001 ? 'The signaling server does not answer. Is it running?' : explainClose(code, reason));
    else if (isFinal(code)) this.#end(explainClose(code, reason));
    else this.#lost();
  }

  #lost() {
    this.#forget();
    this.#connection.retry();
    this.#on.lost();
  }

  #forget() {
    clearTimeout(this.#loginTimer);
    this.#ice.stop();
    this.#signedIn = false;
  }

  /** @param {string} why */
  #refuse(why) {
    this.#forget();
    this.#name = null;
    this.#on.login(why);
  }

  /** Ends a session for which another attempt fails again. */
  #end(/** @type {string} */ why, code = 1000) {
    this.signOut(code);
    this.#on.ended(why);
  }

  /** @param {unknown} data */
  #receive(data) {
    const message = parse(data);
    if (!message || this.#name === null) return;
    const session = this.#resumable;
    if (session && this.#signedIn) {
      const is = session.sequence.receive(message.seq, message.ack);
      if (is === 'missing') this.#end(explainClose(badSequence, ''), badSequence);
      if (is !== 'new') return;
      session.calls.noteReceived(message);
    }
    this.#handle(message);
    const ack = this.#signedIn && session === this.#resumable && session?.sequence.dueAck();
    if (ack) this.#connection.send(ack);
  }

  /** @param {any} message */
  #handle(message) {
    switch (message.type) {
      case 'login': return this.#handleLogin(message);
      case 'iceServers': return this.#ice.take(message);
      case 'expiring': return this.#renew(); // the server may let it last longer
      case 'ack': return undefined;
      default: return this.#on.message(message);
    }
  }

  /** @param {any} reply */
  #handleLogin(reply) {
    const name = this.#name ?? '';
    if (this.#signedIn) { // a renewal; if it is refused the session goes on until it expires
      if (reply.success === true) this.#ice.take(reply);
      return;
    }
    clearTimeout(this.#loginTimer);
    if (reply.success === true) {
      this.#loggedIn(reply);
    } else if (this.#resumable && reply.code === 'expired') {
      this.#resumable = null;
      this.#login();
    } else if (!this.#wasSignedIn) {
      this.#refuse(explainRefusal(reply, name));
    } else if (isFinalRefusal(reply)) {
      this.#end(reply.code === 'unauthorized' ? explainClose(loginExpired, '') : explainRefusal(reply, name));
    } else {
      this.#connection.fail();
    }
  }

  /** @param {any} reply */
  #loggedIn(reply) {
    const replay = this.#resumable?.sequence.replay(reply.ack), isResumed = this.#resumable !== null;
    if (isResumed && !replay) { // the server has lost count; the close ends the session there
      this.#resumable = null;
      this.#connection.fail();
      return;
    }
    this.#signedIn = this.#wasSignedIn = true;
    if (typeof reply.name === 'string') this.#name = reply.name;
    this.#connection.succeeded();
    this.#ice.take(reply);
    if (isResumed) {
      if (this.#resumable && typeof reply.resume === 'string') this.#resumable.token = reply.resume; // of another server
      for (const frame of replay ?? []) this.#connection.send(frame);
    } else {
      this.#resumable = typeof reply.resume === 'string' ? {token: reply.resume, sequence: new Sequence(), calls: new CallNumbers()} : null;
      this.#on.login(null);
      for (const m of this.#queue.splice(0)) this.send(m);
    }
    this.#on.connected();
  }
}

/**
 * Returns an object with a type, or null: the original server also greets in plain text.
 * @param {unknown} data
 * @returns {any}
 */
function parse(data) {
  if (typeof data !== 'string' || data.length > maxFrame) return null;
  try {
    const message = JSON.parse(data);
    return typeof message?.type === 'string' ? message : null;
  } catch {
    return null;
  }
}
