// Who talks with whom: between the server's messages and the one call at a time.

import {Call} from './call.js';
import {isSigned, wishes} from './sdp.js';
import {sortsBefore} from './text.js';

const mostStray = 100; // candidates
const rebuildPause = 30000; // ms between two connections that can be changed no more, or the call is over

/**
 * Phone has at most one call. Its phase is "idle", "ringing" (somebody calls and
 * the person is asked), "calling" (we called), "answering" or "talking".
 * on: {phase(phase, peer), state(connection state), remote(stream), ended(reason, peer, error),
 *      negotiated(), refused(why), declined(why), untaken(why, theirs), rebuilt(why), files(channel),
 *      open(), text(t), binary(n), sent(t), unsent(t), busy(peer), error(message)}.
 */
export class Phone {
  call = null;
  phase = 'idle';
  #signaling;
  #local;
  #asks;
  #on;
  #offer = ''; // while it rings
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
    this.#begin(peer, true, 'calling');
    this.call.offer();
  }

  accept() {
    if (this.phase !== 'ringing') return;
    this.#enter('answering');
    this.call.answer(this.#offer);
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
        if (typeof m.name === 'string' && typeof m.offer?.sdp === 'string') this.#offered(m.name, m.offer.sdp);
        break;
      case 'answer':
        if (this.#fromPeer(m) && this.call.outstanding && typeof m.answer?.sdp === 'string') this.call.accept(m.answer.sdp);
        break;
      case 'candidate':
        if (this.#fromPeer(m)) this.call.candidate(m.candidate);
        else if (!this.call && this.#stray.length < mostStray) this.#stray.push(m);
        break;
      case 'leave':
        if (this.#fromPeer(m)) this.#end('left');
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

  #offered(peer, sdp) {
    const call = this.call;
    if (call && call.peer !== peer) {
      this.#signaling.send({type: 'leave', name: peer});
      this.#on.busy(peer);
    } else if (wishes(sdp)) {
      if (call?.established && call.isSession(sdp)) call.wish(sdp);
    } else if (!call) {
      this.#incoming(peer, sdp);
    } else if (call.outstanding) {
      this.#crossed(call, sdp);
    } else if (call.established && call.isSession(sdp)) {
      call.answer(sdp);
    } else {
      this.#replace(sdp); // the other has loaded its page anew, or called again
    }
  }

  /**
   * Both have called at once. A page that does not sign its descriptions takes its
   * own offer back and answers ours. Among those that do, the offer of the name that
   * sorts first stands.
   */
  #crossed(call, sdp) {
    if (!isSigned(sdp) || sortsBefore(this.#signaling.name, call.peer)) return;
    if (call.established) call.answer(sdp);
    else this.#replace(sdp);
  }

  #replace(sdp) {
    const {peer} = this.call, {phase} = this;
    const unsaid = this.call.close();
    // Who called has agreed already, and so has who was talking.
    if (phase === 'ringing') {
      this.#incoming(peer, sdp);
      return;
    }
    this.#begin(peer, false, 'answering');
    for (const text of unsaid) this.call.text.say(text);
    this.call.answer(sdp);
  }

  /** Goes on by a new connection where the one that stands can be changed no more; not for ever, with who never agrees. */
  #rebuild(error) {
    const before = this.call, now = performance.now();
    if (now - this.#rebuiltAt < rebuildPause) {
      this.#end('negotiation', error, true);
      return;
    }
    this.#rebuiltAt = now;
    const unsaid = before.letGo();
    this.#begin(before.peer, true, 'answering', before);
    for (const text of unsaid) this.call.text.say(text);
    this.call.offer(error.message);
    this.#on.rebuilt(error.message);
  }

  #incoming(peer, sdp) {
    if (this.#asks()) {
      this.#offer = sdp;
      this.#begin(peer, false, 'ringing');
    } else {
      this.#begin(peer, false, 'answering');
      this.call.answer(sdp);
    }
  }

  #begin(peer, caller, phase, before) {
    const on = this.#on;
    const call = this.call = new Call({
      peer, caller, before, local: this.#local, iceServers: () => this.#signaling.iceServers,
      send: message => this.#signaling.send(message),
      on: {
        ...on,
        state: state => {
          if (state === 'connected') this.#enter('talking');
          on.state(state);
        },
        broken: error => { if (this.call === call) this.#rebuild(error); },
        // Whoever left needs no answer; it could meet the call that follows a reload.
        ended: (reason, error) => { if (this.call === call) this.#end(reason, error, reason !== 'left'); },
      },
    });
    for (const m of this.#stray.splice(0)) if (!caller && this.#fromPeer(m)) call.candidate(m.candidate);
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
