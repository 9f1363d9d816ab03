// Peers that negotiate without a browser.

import assert from 'node:assert/strict';

import {Negotiation} from '../../page/negotiation.js';

/** FakeConnection is the signaling state machine of an RTCPeerConnection (W3C WebRTC section 4.3.1), with small descriptions. */
class FakeConnection {
  static count = 0;
  signalingState = 'stable';
  currentLocalDescription = null;
  currentRemoteDescription = null;
  #pendingLocal = null;
  #pendingRemote = null;
  #session = ++FakeConnection.count;
  #generation = 1; // of ICE credentials
  refuses = () => false; // what setRemoteDescription throws for

  get localDescription() { return this.#pendingLocal ?? this.currentLocalDescription; }

  get remoteDescription() { return this.#pendingRemote ?? this.currentRemoteDescription; }

  #sdp() {
    return `v=0\r\no=- ${this.#session} 1 IN IP4 127.0.0.1\r\na=ice-ufrag:${this.#session}.${this.#generation}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=sendrecv\r\n`;
  }

  async createOffer() { return {type: 'offer', sdp: this.#sdp()}; }

  async createAnswer() { return {type: 'answer', sdp: this.#sdp()}; }

  async setLocalDescription(description) {
    const {type} = description;
    if (type === 'rollback') {
      assert.equal(this.signalingState, 'have-local-offer');
      this.#pendingLocal = null;
      this.signalingState = 'stable';
    } else if (type === 'offer') {
      assert.equal(this.signalingState, 'stable');
      this.#pendingLocal = description;
      this.signalingState = 'have-local-offer';
    } else {
      assert.equal(this.signalingState, 'have-remote-offer');
      this.#stable(description, this.#pendingRemote);
    }
  }

  async setRemoteDescription(description) {
    const {type} = description;
    if (type !== 'rollback' && this.refuses(description)) throw new Error('this browser cannot apply it');
    if (type === 'rollback') {
      assert.equal(this.signalingState, 'have-remote-offer');
      this.#pendingRemote = null;
      this.signalingState = 'stable';
    } else if (type === 'offer') {
      this.#pendingLocal = null; // implicit rollback
      this.#pendingRemote = description;
      this.signalingState = 'have-remote-offer';
    } else {
      assert.equal(this.signalingState, 'have-local-offer');
      this.#stable(this.#pendingLocal, description);
    }
  }

  #stable(local, remote) {
    this.currentLocalDescription = local;
    this.currentRemoteDescription = remote;
    this.#pendingLocal = this.#pendingRemote = null;
    this.signalingState = 'stable';
  }

  restartIce() { this.#generation++; }

  getConfiguration() { return {}; }

  setConfiguration() {}
}

/** Peer is one end: its negotiation, and the messages that it has sent and that were not delivered yet. */
export class Peer {
  pc = new FakeConnection();
  events = [];
  sent = [];

  constructor(name, other) {
    const note = event => (...args) => { this.events.push([event, ...args.filter(a => typeof a !== 'object')].join(' ')); };
    this.negotiation = new Negotiation(this.pc, {hold() {}, release() {}, async flush() {}}, {
      name, peer: other, iceServers: () => [], send: message => this.sent.push(structuredClone(message)), isBefore: () => false,
    }, {
      answering: async () => true, offerApplied: async () => {}, offered: () => {}, negotiated: () => this.events.push('negotiated'),
      replaced: note('replaced'), offerRejected: note('offerRejected'), answerRejected: note('answerRejected'), unchanged: note('unchanged'),
    });
  }

  async handle(message) {
    if (message.type === 'offer') await this.negotiation.handleOffer(message.offer);
    else await this.negotiation.handleAnswer(message.answer);
  }

  /** Delivers the oldest message to the other. */
  async deliver(other) {
    const message = this.sent.shift();
    await other.handle(message);
    return message;
  }
}
