// Who talks with whom: between the server's messages and the one call at a time.

import {Call} from './call.js';
import {parseExtension} from './extension.js';
import {session} from './sdp.js';

const mostStray = 100; // candidates
const rebuildPause = 30000; // ms between two connections that can be changed no more, or the call is over

/**
 * Phone has at most one call. Its phase is "idle", "ringing" (somebody calls and
 * the person is asked), "calling" (we called), "answering" or "talking".
 * on: {phase(phase, peer), state(connection state), remote(stream), ended(reason, peer, error),
 *      negotiated(), offerRejected(why, byPeer), answerRejected(why, byPeer), rebuilt(why), files(channel),
 *      open(), text(t), binary(n), sent(t), unsent(t), busy(peer), error(message)}.
 */
export class Phone {
  call = null;
  phase = 'idle';
  #signaling;
  #local;
  #asks;
  #on;
  #offer = null; // the first of the call, if it is the peer's
  #rebuiltAt = -Infinity; // by performance.now()
  #stray = []; // candidate messages that came while there was no call: ahead of their offer, or after the end

  constructor({signaling, local, asks, on}) {
    this.#signaling = signaling;
    this.#local = local;
    this.#asks = asks;
    this.#on = on;
  }

  dial(peer) {
    this.hangUp();
    this.#begin(peer, null, 'calling');
    this.call.offer();
  }

  accept() {
    if (this.phase !== 'ringing') return;
    this.#enter('answering');
    this.call.receive({type: 'offer', offer: this.#offer});
  }

  /** Hangs up, gives up, or says no. */
  hangUp() {
    if (this.call) this.#end('hung up', null, true);
  }

  say(text) {
    this.call?.text.say(text);
  }

  /** Takes a message of the server. Whatever it does not understand it ignores. */
  receive(m) {
    switch (m.type) {
      case 'offer':
        if (typeof m.name === 'string' && typeof m.offer?.sdp === 'string') this.#offered(m.name, m.offer);
        break;
      case 'answer':
        if (this.#fromPeer(m) && this.call.outstanding && typeof m.answer?.sdp === 'string') this.call.receive(m);
        break;
      case 'candidate':
        if (this.#fromPeer(m)) this.call.receive(m);
        else if (!this.call && this.#stray.length < mostStray) this.#stray.push(m);
        break;
      case 'leave':
        // A peer that only lost its server is heard of by the connection.
        if (this.#fromPeer(m) && !(m.lost === true && this.phase === 'talking')) this.#end('left');
        break;
      case 'error':
        this.#refused(m);
        break;
    }
  }

  /** Our server names the sender of every message; the original one only the caller. */
  #fromPeer(m) {
    return this.call && (m.name === undefined || m.name === this.call.peer);
  }

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
      this.#replace(offer); // the peer has called again
    }
  }

  /** Whether an offer is a duplicate of the first one of the call. */
  #isFirst(offer) {
    const number = parseExtension(offer.parley, 'offer')?.number;
    return number !== undefined && number === parseExtension(this.#offer?.parley, 'offer')?.number &&
      session(offer.sdp) === session(this.#offer.sdp);
  }

  /** Answers an offer by a new connection, which handles the messages after it, too. */
  #replace(offer, messages = []) {
    const {peer} = this.call, {phase} = this;
    const unsent = this.call.close();
    // Who called has agreed already, and so has who was talking.
    if (phase === 'ringing') {
      this.#incoming(peer, offer);
      return;
    }
    this.#begin(peer, offer, 'answering');
    for (const text of unsent) this.call.text.say(text);
    for (const m of [{type: 'offer', offer}, ...messages]) this.call.receive(m);
  }

  /** Goes on by a new connection if the one that stands takes no further descriptions. Ends the call if that happens again soon. */
  #rebuild(error) {
    const before = this.call, now = performance.now();
    if (now - this.#rebuiltAt < rebuildPause) {
      this.#end('negotiation', error, true);
      return;
    }
    this.#rebuiltAt = now;
    const unsent = before.detach();
    this.#begin(before.peer, null, 'answering', before);
    for (const text of unsent) this.call.text.say(text);
    this.call.offer(error.message);
    this.#on.rebuilt(error.message);
  }

  #incoming(peer, offer) {
    if (this.#asks()) {
      this.#begin(peer, offer, 'ringing');
    } else {
      this.#begin(peer, offer, 'answering');
      this.call.receive({type: 'offer', offer});
    }
  }

  /** offer is the first of the call, or null if we make it. */
  #begin(peer, offer, phase, before) {
    const on = this.#on, caller = offer === null;
    this.#offer = offer;
    const call = this.call = new Call({
      name: this.#signaling.name, peer, caller, before, local: this.#local, iceServers: () => this.#signaling.iceServers,
      send: message => this.#signaling.send(message),
      on: {
        ...on,
        state: state => {
          if (state === 'connected') this.#enter('talking');
          on.state(state);
        },
        replaced: (again, messages) => { if (this.call === call) this.#replace(again, messages); },
        broken: error => { if (this.call === call) this.#rebuild(error); },
        // Whoever left needs no answer; it could meet the call that follows a reload.
        ended: (reason, error) => { if (this.call === call) this.#end(reason, error, reason !== 'left'); },
      },
    });
    for (const m of this.#stray.splice(0)) if (!caller && this.#fromPeer(m)) call.receive(m);
    this.#enter(phase);
  }

  #enter(phase) {
    this.phase = phase;
    this.#on.phase(phase, this.call?.peer ?? '');
  }

  #end(reason, error = null, tell = false) {
    const {peer} = this.call, {phase} = this;
    if (tell) this.#signaling.send({type: 'leave', name: peer});
    for (const text of this.call.close()) this.#on.unsent(text);
    this.call = null;
    this.#rebuiltAt = -Infinity;
    this.#enter('idle');
    this.#on.ended(reason, peer, phase, error);
  }

  #refused(m) {
    const about = m.name === undefined || m.name === this.call?.peer;
    if (m.code === 'absent') {
      if (about && this.call && !this.call.established) this.#end('absent');
    } else if (m.code !== 'no_call') { // which is about the last words of a call that is over
      this.#on.error(typeof m.message === 'string' ? m.message : 'unknown error');
    }
  }
}
