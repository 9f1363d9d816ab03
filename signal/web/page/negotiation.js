// Offers and answers of one call: perfect negotiation (W3C WebRTC section 10.7), with what
// signal/doc.go specifies in the section Extension.

import {newExtension, parseExtension} from './extension.js';
import {useServers} from './ice.js';
import {hasUnchanged, restarts, session, unchanged, withStereo} from './sdp.js';
import {sortsBefore} from './text.js';

const restartPause = 2000; // ms between two rejected ICE restarts, or there is no further one
const answerPause = 30000; // ms between two answers that this browser cannot apply, or the connection is given up

/**
 * @typedef {{type: string, sdp: string, parley?: any}} Description as it is on the wire
 * @typedef {object} NegotiationEvents
 * @property {() => Promise<boolean>} answering before the first answer; false if the call is over
 * @property {(sdp: string) => Promise<void>} offerApplied before the answer to it is made
 * @property {() => void} offered
 * @property {(sdp: string) => void} negotiated both descriptions are in force; sdp is the peer's
 * @property {(offer: Description) => void} replaced the offer needs a new connection
 * @property {(why: string, byPeer: boolean) => void} offerRejected
 * @property {(why: string, byPeer: boolean) => void} answerRejected nothing changes by it
 * @property {() => void} unchanged an offer was rejected, and the descriptions are those of before
 */

/**
 * @typedef {object} NegotiatedCall
 * @property {string} name of this user
 * @property {string} peer
 * @property {() => RTCIceServer[]} iceServers
 * @property {(message: object) => void} send
 * @property {(sdp: string) => boolean} isBefore whether it is of the connection in whose place this one comes
 */

/** Negotiation makes and handles the descriptions of one RTCPeerConnection. Its methods run one after the other. */
export class Negotiation {
  established = false; // an offer has been answered
  outstanding = false; // our offer has not been answered
  isTagged = false; // the peer knows the extension
  #pc;
  #candidates;
  #call;
  #on;
  #offerNumber = 0; // of our last offer
  #offerProcessed = 0; // number of our last offer that the peer has answered or rejected
  /** @type {{number: number, message: object} | null} the last answer we sent, and the number of its offer */
  #answered = null;
  /** @type {object | null} our last offer */
  #lastOffer = null;
  #offerNeeded = false; // once the signaling state is stable
  #restartNeeded = false; // and by that offer
  #restartRejectedAt = -Infinity; // by performance.now()
  #answerRejectedAt = -Infinity;
  #answerRejected = ''; // why the last answer could not be applied, for the next offer

  /**
   * @param {RTCPeerConnection} pc
   * @param {import('./candidates.js').Candidates} candidates
   * @param {NegotiatedCall} call
   * @param {NegotiationEvents} on
   */
  constructor(pc, candidates, call, on) {
    this.#pc = pc;
    this.#candidates = candidates;
    this.#call = call;
    this.#on = on;
  }

  /**
   * Requests an offer, once no other is out. restart makes it restart ICE.
   * @param {{restart?: boolean, answerRejected?: string}} [options]
   */
  async offer({restart = false, answerRejected = ''} = {}) {
    if (answerRejected) this.#answerRejected = answerRejected;
    this.#offerNeeded = true;
    this.#restartNeeded ||= restart;
    await this.#negotiate();
  }

  /** Sends an offer that has no answer yet once more: the server may have lost it. */
  repeatOffer() {
    if (this.outstanding && this.#lastOffer) this.#call.send(this.#lastOffer);
  }

  /** Reports whether a description comes from the RTCPeerConnection that this one is with, as far as it says. */
  isSession(/** @type {string} */ sdp) {
    const now = this.#pc.remoteDescription?.sdp;
    return !now || !session(sdp) || session(now) === session(sdp);
  }

  /** Answers an offer, the first or another one in the same call, unless ours crosses it and stands. */
  async handleOffer(/** @type {Description} */ offer) {
    const {sdp} = offer, extension = parseExtension(offer.parley, 'offer');
    const isOther = this.established && !this.isSession(sdp); // the peer has loaded its page anew, or called again
    if (extension && !isOther) {
      const processed = this.#answered?.number ?? 0;
      if (this.#answered && extension.number === processed) this.#call.send(this.#answered.message); // a duplicate, because the answer was lost
      if (extension.number <= processed || extension.processed < this.#offerProcessed) return; // the peer has dropped it
    }
    const crossed = this.outstanding && !(extension && extension.processed === this.#offerNumber);
    if (crossed && (!extension || this.#call.isBefore(sdp))) return; // other peers take back their own
    if (crossed && !isOther && !this.#isPolite(extension)) return;
    if (isOther || crossed && !this.established) this.#on.replaced(offer);
    else await this.#answer(sdp, extension);
  }

  /** Applies the answer to our offer. Ignores one that is a duplicate or stale. */
  async handleAnswer(/** @type {Description} */ answer) {
    const pc = this.#pc, extension = parseExtension(answer.parley, 'answer');
    if (pc.signalingState !== 'have-local-offer' || extension && extension.number !== this.#offerNumber) return;
    if (extension) {
      this.#offerProcessed = extension.number;
      this.isTagged = true;
    }
    let {sdp} = answer;
    if (extension?.rejected) sdp = this.#unchanged(extension.rejected);
    try {
      await pc.setRemoteDescription({type: 'answer', sdp});
    } catch (error) {
      sdp = await this.#rejectAnswer(/** @type {Error} */ (error));
    }
    this.outstanding = false;
    this.established = true;
    await this.#candidates.flush();
    this.#on.negotiated(sdp);
    if (extension?.rejected) this.#on.offerRejected(extension.rejected, true);
    await this.#negotiate();
  }

  /** Reports whether we take back our offer when it crosses one of the peer. A browser may lose video by that, a terminal does not. */
  #isPolite(/** @type {any} */ extension) {
    return extension.browser && !sortsBefore(this.#call.name, this.#call.peer);
  }

  /** @param {string} sdp @param {any} extension */
  async #answer(sdp, extension) {
    const pc = this.#pc, crossed = this.outstanding; // or the answer to ours was lost
    if (!this.established && !await this.#on.answering()) return;
    this.outstanding = false;
    if (this.established) useServers(pc, this.#call.iceServers()); // the offer may restart ICE
    try {
      await pc.setRemoteDescription({type: 'offer', sdp}); // rolls back our offer, if one is out
      await this.#on.offerApplied(sdp);
      await this.#candidates.flush();
      this.#candidates.hold();
      await this.#describe();
    } catch (error) {
      await this.#rejectOffer(sdp, extension, /** @type {Error} */ (error), crossed);
      return;
    }
    this.established = true;
    this.isTagged ||= extension !== null;
    this.#sendAnswer(pc.localDescription?.sdp ?? '', extension);
    this.#candidates.release();
    this.#on.negotiated(sdp);
    if (extension?.answerRejected) this.#on.answerRejected(extension.answerRejected, true);
    await this.#negotiate();
  }

  /**
   * Rejects an offer that this browser cannot apply: a call goes on as it was, and one that has not begun ends.
   * @param {string} sdp @param {any} extension @param {Error} error @param {boolean} crossed
   */
  async #rejectOffer(sdp, extension, error, crossed) {
    const pc = this.#pc, ours = pc.currentLocalDescription?.sdp ?? '', theirs = pc.currentRemoteDescription?.sdp ?? '';
    if (pc.signalingState === 'closed') return;
    if (extension) this.#sendAnswer('', extension, error.message || error.name);
    else if (this.established && hasUnchanged(sdp, ours, theirs)) this.#sendAnswer(unchanged(sdp, ours, theirs));
    if (!this.established) throw error;
    if (pc.signalingState === 'have-remote-offer') await pc.setRemoteDescription({type: 'rollback'});
    if (pc.signalingState === 'have-local-offer') await pc.setLocalDescription({type: 'rollback'});
    this.#candidates.release();
    this.#on.unchanged();
    this.#on.offerRejected(error.message, false);
    if (crossed) this.#offerNeeded = true; // ours was taken back for theirs
    await this.#negotiate();
  }

  /**
   * Has the call go on as it was after an answer that this browser cannot apply. Returns what is
   * applied in its place. The next offer reports it to the peer. Throws the error if that did not help
   * the last time, and where Chromium has applied a part of the answer: it applies nothing more then.
   * @param {Error} error
   */
  async #rejectAnswer(error) {
    const now = performance.now();
    if (!this.established || now - this.#answerRejectedAt < answerPause) throw error;
    this.#answerRejectedAt = now;
    const sdp = this.#unchanged(error.message);
    await this.#pc.setRemoteDescription({type: 'answer', sdp}).catch(() => { throw error; });
    this.#offerNeeded = true;
    this.#answerRejected = error.message || error.name;
    this.#on.answerRejected(error.message, false);
    return sdp;
  }

  /**
   * Returns the answer to our offer by which nothing changes. If the offer restarts ICE, which needs
   * new credentials of both peers, another one follows, unless the last was rejected a moment ago.
   * @param {string} why
   */
  #unchanged(why) {
    if (!this.established) throw new Error(why);
    const {localDescription: out, currentLocalDescription: ours, currentRemoteDescription: theirs} = this.#pc;
    if (!out || !ours || !theirs) throw new Error(why);
    if (restarts(out.sdp, ours.sdp) && performance.now() - this.#restartRejectedAt > restartPause) {
      this.#restartRejectedAt = performance.now();
      this.#restartNeeded = true;
    }
    return unchanged(out.sdp, theirs.sdp, ours.sdp);
  }

  /** Makes an offer if one is needed, once no other is out. */
  async #negotiate() {
    const pc = this.#pc;
    if (!this.#offerNeeded && !this.#restartNeeded || pc.signalingState !== 'stable') return;
    if (this.#restartNeeded) {
      useServers(pc, this.#call.iceServers());
      pc.restartIce();
    }
    this.#offerNeeded = this.#restartNeeded = false;
    this.#candidates.hold();
    this.outstanding = true;
    await this.#describe();
    const parley = newExtension(++this.#offerNumber, {processed: this.#answered?.number, answerRejected: this.#answerRejected});
    this.#answerRejected = '';
    this.#lastOffer = {type: 'offer', offer: {type: 'offer', sdp: pc.localDescription?.sdp, parley}};
    this.#call.send(this.#lastOffer);
    this.#candidates.release();
    this.#on.offered();
  }

  /** Makes and sets our description: an answer if there is an offer of the peer, and else an offer. */
  async #describe() {
    const pc = this.#pc;
    const description = await (pc.signalingState === 'have-remote-offer' ? pc.createAnswer() : pc.createOffer());
    await pc.setLocalDescription(withStereo(description, pc.remoteDescription));
  }

  /** extension is that of the offer, if it has one. */
  #sendAnswer(/** @type {string} */ sdp, /** @type {any} */ extension = null, rejected = '') {
    const answer = {type: 'answer', sdp, ...extension && {parley: newExtension(extension.number, {rejected})}};
    const message = {type: 'answer', answer};
    if (extension) this.#answered = {number: extension.number, message};
    this.#call.send(message);
  }
}
