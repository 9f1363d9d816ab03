// The calls of this page, one at a time: between the server's messages and the user.

import {Call} from './call.js';
import {parseExtension} from './extension.js';
import {session} from './sdp.js';

const maxStray = 100; // candidates
const rebuildPause = 30000; // ms between two connections that can be changed no more, or the call is over

/**
 * @typedef {import('./media.js').Kinds} Kinds
 * @typedef {import('./negotiation.js').Description} Description
 * @typedef {import('./recovery.js').EndReason} EndReason
 * @typedef {'idle' | 'ringing' | 'calling' | 'answering' | 'talking'} Phase ringing: somebody calls, and
 *   the user is asked; calling: we call
 */

/**
 * @typedef {object} PhoneEventsBeside
 * @property {(phase: Phase, peer: string) => void} phase
 * @property {(reason: EndReason, peer: string, phase: Phase, error: Error | null) => void} ended
 * @property {(why: string) => void} rebuilt
 * @property {(peer: string) => void} busy
 * @property {(message: string) => void} error
 * @typedef {PhoneEventsBeside & Omit<import('./call.js').CallEvents, 'ended' | 'broken' | 'replaced'>} PhoneEvents
 */

/** Phone has at most one call. A call that comes rings, until the user accepts it with the devices to open. */
export class Phone {
  /** @type {Call | null} */
  call = null;
  /** @type {Phase} */
  phase = 'idle';
  #signaling;
  #local;
  #answersWith;
  #on;
  /** @type {Description | null} the first of the call, if it is the peer's */
  #offer = null;
  #rebuiltAt = -Infinity; // by performance.now()
  /** @type {any[]} candidate messages that came while there was no call: ahead of their offer, or after the end */
  #stray = [];

  /**
   * @param {object} options
   * @param {import('./manual.js').AnySignaling} options.signaling
   * @param {import('./media.js').LocalMedia} options.local
   * @param {() => Kinds | null} options.answersWith what a call is answered with by itself; null if it rings
   * @param {PhoneEvents} options.on
   */
  constructor({signaling, local, answersWith, on}) {
    this.#signaling = signaling;
    this.#local = local;
    this.#answersWith = answersWith;
    this.#on = on;
  }

  /**
   * Calls somebody.
   * @param {string} peer
   * @param {Kinds} devices
   */
  dial(peer, devices) {
    this.hangUp();
    this.#local.open(devices);
    this.#begin(peer, null, 'calling').offer();
  }

  /**
   * Answers the call that rings.
   * @param {Kinds} devices
   */
  accept(devices) {
    if (this.phase !== 'ringing') return;
    this.#local.open(devices);
    this.#enter('answering');
    this.call?.receive({type: 'offer', offer: this.#offer});
  }

  /** Hangs up, gives up, or declines. */
  hangUp() {
    if (this.call) this.#end('hung up', null, true);
  }

  /** @param {string} text */
  say(text) {
    this.call?.text.say(text);
  }

  /** Handles a new session with the server, which knows no call and may have lost our offer. */
  sessionRenewed() {
    this.call?.repeatOffer();
  }

  /** Handles a message of the server, and ignores what it does not know. */
  receive(/** @type {any} */ m) {
    switch (m.type) {
      case 'offer':
        if (typeof m.name === 'string' && typeof m.offer?.sdp === 'string') this.#offered(m.name, m.offer);
        break;
      case 'answer':
        if (this.#fromPeer(m) && this.call?.outstanding && typeof m.answer?.sdp === 'string') this.call.receive(m);
        break;
      case 'candidate':
        if (this.#fromPeer(m)) this.call?.receive(m);
        else if (!this.call && this.#stray.length < maxStray) this.#stray.push(m);
        break;
      case 'leave':
        // A peer that only lost its server is noticed by the connection.
        if (this.#fromPeer(m) && !(m.lost === true && this.phase === 'talking')) this.#end('left');
        break;
      case 'error':
        this.#refused(m);
        break;
    }
  }

  /** Our server names the sender of every message; the original one only the caller. */
  #fromPeer(/** @type {any} */ m) {
    return this.call !== null && (m.name === undefined || m.name === this.call.peer);
  }

  /** @param {string} peer @param {Description} offer */
  #offered(peer, offer) {
    const call = this.call;
    if (call && call.peer !== peer) {
      this.#signaling.send({type: 'leave', name: peer});
      this.#on.busy(peer);
    } else if (!call) {
      this.#incoming(peer, offer);
    } else if (call.established || call.outstanding) {
      call.receive({type: 'offer', offer});
    } else if (!this.#isFirst(offer)) {
      this.#replace(call, offer); // the peer has called again
    }
  }

  /** Whether an offer is a duplicate of the first one of the call. */
  #isFirst(/** @type {Description} */ offer) {
    const number = parseExtension(offer.parley, 'offer')?.number;
    return number !== undefined && number === parseExtension(this.#offer?.parley, 'offer')?.number &&
      session(offer.sdp) === session(this.#offer?.sdp ?? '');
  }

  /**
   * Answers an offer by a new connection, which handles the messages after it, too.
   * @param {Call} before
   * @param {Description} offer
   * @param {object[]} [messages]
   */
  #replace(before, offer, messages = []) {
    const {phase} = this, unsent = before.close();
    if (phase === 'ringing') {
      this.#incoming(before.peer, offer);
      return;
    }
    // A user who called or talked has agreed to this call.
    const call = this.#begin(before.peer, offer, 'answering');
    for (const text of unsent) call.text.say(text);
    for (const m of [{type: 'offer', offer}, ...messages]) call.receive(m);
  }

  /** Goes on by a new connection if the one that stands takes no further descriptions. Ends the call if that happens again soon. */
  #rebuild(/** @type {Call} */ before, /** @type {Error} */ error) {
    const now = performance.now();
    if (now - this.#rebuiltAt < rebuildPause) {
      this.#end('negotiation', error, true);
      return;
    }
    this.#rebuiltAt = now;
    const unsent = before.detach();
    const call = this.#begin(before.peer, null, 'answering', before);
    for (const text of unsent) call.text.say(text);
    call.offer(error.message);
    this.#on.rebuilt(error.message);
  }

  /** @param {string} peer @param {Description} offer */
  #incoming(peer, offer) {
    const devices = this.#answersWith();
    const call = this.#begin(peer, offer, devices ? 'answering' : 'ringing');
    if (!devices) return;
    this.#local.open(devices);
    call.receive({type: 'offer', offer});
  }

  /**
   * Begins a call. offer is the first one, or null if we make it.
   * @param {string} peer
   * @param {Description | null} offer
   * @param {Phase} phase
   * @param {Call | null} [before]
   */
  #begin(peer, offer, phase, before = null) {
    const on = this.#on, caller = offer === null;
    this.#offer = offer;
    const call = this.call = new Call({
      name: this.#signaling.name ?? '', peer, caller, before, patient: 'patient' in this.#signaling, local: this.#local, iceServers: () => this.#signaling.iceServers,
      send: message => this.#signaling.send(message),
      on: {
        ...on,
        state: state => {
          on.state(state);
          if (state === 'connected' && this.phase !== 'talking') this.#enter('talking');
        },
        replaced: (again, messages) => { if (this.call === call) this.#replace(call, again, messages); },
        broken: error => { if (this.call === call) this.#rebuild(call, error); },
        // A peer that has left needs no answer; it could meet the call that follows a reload.
        ended: (reason, error) => { if (this.call === call) this.#end(reason, error, reason !== 'left'); },
      },
    });
    for (const m of this.#stray.splice(0)) if (!caller && this.#fromPeer(m)) call.receive(m);
    this.#enter(phase);
    return call;
  }

  #enter(/** @type {Phase} */ phase) {
    this.phase = phase;
    this.#on.phase(phase, this.call?.peer ?? '');
  }

  /**
   * Ends the call. leave has the peer know.
   * @param {EndReason} reason
   */
  #end(reason, /** @type {Error | null} */ error = null, leave = false) {
    const {call, phase} = this;
    if (!call) return;
    if (leave) this.#signaling.send({type: 'leave', name: call.peer});
    for (const text of call.close()) this.#on.unsent(text);
    this.call = null;
    this.#rebuiltAt = -Infinity;
    this.#local.close();
    this.#enter('idle');
    this.#on.ended(reason, call.peer, phase, error);
  }

  #refused(/** @type {any} */ m) {
    const concerns = m.name === undefined || m.name === this.call?.peer;
    if (m.code === 'absent') {
      if (concerns && this.call && !this.call.established) this.#end('absent');
    } else if (m.code !== 'no_call') { // which is about the last words of a call that is over
      this.#on.error(typeof m.message === 'string' ? m.message : 'unknown error');
    }
  }
}
