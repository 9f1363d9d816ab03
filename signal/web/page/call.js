// One call: one RTCPeerConnection with one peer.

import {Candidates} from './candidates.js';
import {TextChannel} from './channel.js';
import {kinds} from './media.js';
import {Negotiation} from './negotiation.js';
import {Receivers} from './receivers.js';
import {Recovery} from './recovery.js';
import {hasData} from './sdp.js';
import {Senders} from './senders.js';
import {protocol} from './transfer.js';

const mediaPatience = 10000; // ms to wait for a camera that the browser is asking about
const repeatPause = 15000; // ms until an offer in a call that has no answer is sent again
const announcePause = 300; // ms from a change of what is muted to the offer that announces it

/**
 * @typedef {import('./negotiation.js').Description} Description
 * @typedef {import('./recovery.js').EndReason} EndReason
 * @typedef {object} CallEventsBeside
 * @property {(state: RTCPeerConnectionState) => void} state
 * @property {(reason: EndReason, error?: Error) => void} ended
 * @property {(error: Error) => void} broken the connection stands, but takes no further descriptions
 * @property {(offer: Description, messages: object[]) => void} replaced the offer needs a new Call, which handles the messages after it
 * @property {() => void} negotiated
 * @property {(why: string, byPeer: boolean) => void} offerRejected
 * @property {(why: string, byPeer: boolean) => void} answerRejected nothing changes by it
 * @property {(channel: RTCDataChannel) => void} files
 * @typedef {CallEventsBeside & import('./receivers.js').ReceiverEvents & import('./channel.js').TextEvents} CallEvents
 */

/**
 * @typedef {object} CallOptions
 * @property {string} name of this user
 * @property {string} peer
 * @property {boolean} caller whether we call
 * @property {import('./media.js').LocalMedia} local
 * @property {() => RTCIceServer[]} iceServers
 * @property {(message: object) => void} send
 * @property {CallEvents} on
 * @property {boolean} patient see Recovery
 * @property {Call | null} [before] a detached call, closed once this one is established: a closed
 *   connection says that somebody hung up
 */

/** Call is one call. Everything that touches the descriptions runs one after the other, in the order in which it came. */
export class Call {
  peer;
  caller;
  text;
  textPossible = true;
  code = ''; // to verify the peer by, once it was shown
  pc;
  senders;
  #local;
  #on;
  #receivers;
  #candidates;
  #negotiation;
  #recovery;
  /** @type {Promise<void>} */
  #chain = Promise.resolve();
  /** @type {any[]} messages of the peer that are not handled yet */
  #inbox = [];
  #announceTimer = 0;
  #repeatTimer = 0;
  #before;
  #closed = false;

  /** @param {CallOptions} options */
  constructor({name, peer, caller, local, iceServers, send, on, before = null, patient}) {
    this.peer = peer;
    this.caller = caller;
    this.#before = before;
    this.#local = local;
    this.#on = on;
    this.text = new TextChannel(on);
    const pc = this.pc = new RTCPeerConnection({iceServers: iceServers()});
    const sendToPeer = (/** @type {object} */ message) => { if (!this.#closed) send({...message, name: peer}); };
    this.senders = new Senders(pc, local);
    this.#receivers = new Receivers(pc, on);
    this.#candidates = new Candidates(pc, candidate => sendToPeer({type: 'candidate', candidate}));
    const isBefore = (/** @type {string} */ sdp) => this.#before?.isSession(sdp) ?? false;
    this.#negotiation = new Negotiation(pc, this.#candidates, {name, peer, iceServers, send: sendToPeer, isBefore}, {
      answering: () => this.#addTracks(),
      offerApplied: sdp => this.#placeTracks(sdp),
      offered: () => this.#offered(),
      negotiated: sdp => this.#negotiated(sdp),
      replaced: offer => on.replaced(offer, this.#inbox),
      offerRejected: on.offerRejected,
      answerRejected: on.answerRejected,
      unchanged: () => this.#receivers.update(),
    });
    this.#recovery = new Recovery(pc, caller, {
      state: on.state,
      ended: reason => { if (!this.#closed) on.ended(reason); },
      restartICE: () => this.#restartICE(),
    }, patient);
    pc.ondatachannel = e => {
      if (e.channel.protocol === protocol) on.files(e.channel);
      else this.text.take(e.channel, pc);
    };
  }

  /** Whether an offer has been answered. */
  get established() { return this.#negotiation.established; }

  /** Whether our offer has not been answered. */
  get outstanding() { return this.#negotiation.outstanding; }

  /** Both descriptions in force, ours first. @returns {[string, string]} */
  get descriptions() {
    return [this.pc.localDescription?.sdp ?? '', this.pc.remoteDescription?.sdp ?? ''];
  }

  /** Makes the first offer. answerRejected is why the connection before was given up, if there was one. */
  offer(answerRejected = '') {
    this.#run(async () => {
      await this.#local.settled(mediaPatience);
      if (this.#closed) return;
      this.text.open(this.pc);
      this.senders.addTransceivers();
      await this.#negotiation.offer({answerRejected});
    });
  }

  /** Handles an offer, an answer or a candidate of the peer, once all before it is done. */
  receive(/** @type {any} */ message) {
    this.#inbox.push(message);
    this.#run(() => this.#handle(this.#inbox.shift()));
  }

  /** @param {string} sdp see Negotiation.isSession */
  isSession(sdp) { return this.#negotiation.isSession(sdp); }

  /** Sends an unanswered offer once more, to a server that has no call of ours. */
  repeatOffer() { this.#negotiation.repeatOffer(); }

  /** Opens a channel to send files by. */
  openFiles() { return this.pc.createDataChannel('files', {protocol}); }

  /** Sends what the local devices give now, and announces to a peer that knows the extension what is muted. */
  sendLocal() {
    this.senders.sync(false, false);
    clearTimeout(this.#announceTimer);
    if (this.established) this.#announceTimer = setTimeout(() => this.#announce(), announcePause);
  }

  /** Makes an offer, for what was added to senders or removed. */
  renegotiate() {
    this.#run(() => this.#negotiation.offer());
  }

  /** Closes everything. Returns the texts that were not sent. */
  close() {
    const unsent = this.detach();
    this.pc.close();
    return unsent;
  }

  /** Stops everything, and leaves the connection open. Returns the texts that were not sent. */
  detach() {
    this.#closed = true;
    clearTimeout(this.#announceTimer);
    clearTimeout(this.#repeatTimer);
    this.#recovery.stop();
    this.pc.onicecandidate = this.pc.ondatachannel = this.pc.ontrack = null;
    this.#before?.close();
    return this.text.close();
  }

  /** @param {() => any} step */
  #run(step) {
    this.#chain = this.#chain.then(async () => {
      if (this.#closed) return;
      try {
        await step();
      } catch (e) {
        const error = /** @type {Error} */ (e);
        if (this.#closed) return;
        if (this.established) this.#on.broken(error);
        else this.#on.ended('negotiation', error);
      }
    });
  }

  /** @param {any} message */
  #handle({type, offer, answer, candidate}) {
    switch (type) {
      case 'offer': return this.#negotiation.handleOffer(offer);
      case 'answer': return this.#negotiation.handleAnswer(answer);
      default: return this.#candidates.receive(candidate);
    }
  }

  async #addTracks() {
    await this.#local.settled(mediaPatience);
    if (this.#closed) return false;
    this.senders.addTracks();
    return true;
  }

  /** @param {string} sdp of the offer */
  async #placeTracks(sdp) {
    if (/^a=simulcast:/m.test(sdp)) await this.senders.place();
    this.senders.reserve();
  }

  #announce() {
    this.#run(async () => {
      if (this.senders.sync(true, this.#negotiation.isTagged)) await this.#negotiation.offer();
    });
  }

  /** Ends a call that is not answered. In a call a lost offer is sent again. */
  #offered() {
    if (!this.established) this.#recovery.offered();
    else if (this.#negotiation.isTagged) this.#repeatLater();
  }

  #repeatLater() {
    clearTimeout(this.#repeatTimer);
    this.#repeatTimer = setTimeout(() => {
      if (!this.outstanding) return;
      this.repeatOffer();
      this.#repeatLater();
    }, repeatPause);
  }

  /** @param {string} sdp of the peer */
  #negotiated(sdp) {
    this.textPossible = hasData(sdp);
    this.#receivers.update();
    this.#before?.close();
    this.#before = null;
    this.#recovery.negotiated();
    if (kinds.some(kind => this.#local.state[kind] === 'muted')) this.sendLocal();
    this.#on.negotiated();
  }

  #restartICE() {
    this.#run(async () => {
      await this.#negotiation.offer({restart: true});
      this.#recovery.restarted();
    });
  }
}
