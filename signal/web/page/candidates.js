// ICE candidates before and after the descriptions they belong to.

import {belongs} from './sdp.js';

/** Candidates holds those of the peer until its description is applied, and ours until ours is sent. */
export class Candidates {
  #pc;
  #send;
  /** @type {RTCIceCandidateInit[]} */
  #early = []; // of the peer
  /** @type {RTCIceCandidate[] | null} */
  #late = null; // ours

  /**
   * @param {RTCPeerConnection} pc
   * @param {(candidate: RTCIceCandidate) => void} send
   */
  constructor(pc, send) {
    this.#pc = pc;
    this.#send = send;
    pc.onicecandidate = e => {
      if (!e.candidate) return; // the end; the wire has no word for it that all pages understand
      if (this.#late) this.#late.push(e.candidate);
      else send(e.candidate);
    };
  }

  /** Holds ours, for a description that is about to be made. */
  hold() {
    this.#late ??= [];
  }

  /** Sends those held, and the later ones at once. */
  release() {
    const late = this.#late ?? [];
    this.#late = null;
    for (const candidate of late) this.#send(candidate);
  }

  /**
   * Handles one of the peer, in any form: an object, null, or an empty string.
   * @param {any} init
   */
  async receive(init) {
    if (typeof init?.candidate !== 'string') return;
    if (this.#pc.remoteDescription) await this.#add(init);
    else this.#early.push(init);
  }

  /** Adds those that came before the description of the peer. */
  async flush() {
    for (const init of this.#early.splice(0)) await this.#add(init);
  }

  /** @param {RTCIceCandidateInit} init */
  async #add(init) {
    // Those of an offer that was ignored, and those that this browser cannot use, do no harm.
    if (!belongs(init, this.#pc.remoteDescription?.sdp ?? '')) return;
    await this.#pc.addIceCandidate(init).catch(() => {});
  }
}
