// What the peer sends: the tracks that one RTCPeerConnection receives.

import {kinds} from './media.js';

/**
 * @typedef {'none' | 'on' | 'muted'} PeerMedia none: never sent in this call; muted: announced by the
 *   direction of the m-section (W3C WebRTC section 5.3)
 * @typedef {object} ReceiverEvents
 * @property {(stream: MediaStream) => void} remote
 * @property {(media: Record<import('./media.js').Kind, PeerMedia>) => void} peerMedia
 */

/** Receivers holds the tracks that the peer sends now in one MediaStream. */
export class Receivers {
  stream = new MediaStream();
  #pc;
  #on;
  /** @type {Record<import('./media.js').Kind, PeerMedia>} */
  #media = {audio: 'none', video: 'none'};

  /**
   * @param {RTCPeerConnection} pc
   * @param {ReceiverEvents} on
   */
  constructor(pc, on) {
    this.#pc = pc;
    this.#on = on;
    pc.ontrack = e => {
      this.stream.addTrack(e.track);
      on.remote(this.stream);
    };
  }

  /**
   * Removes the tracks that the peer no longer sends, after a negotiation: a player shows the first
   * one, even if nothing comes by it. Reports what the peer has muted.
   */
  update() {
    const used = this.#pc.getTransceivers().filter(t => /recv/.test(t.currentDirection ?? '')).map(t => t.receiver.track);
    const gone = this.stream.getTracks().filter(track => !used.includes(track));
    for (const track of gone) this.stream.removeTrack(track);
    if (gone.length) this.#on.remote(this.stream);
    for (const kind of kinds) {
      if (used.some(track => track.kind === kind)) this.#media[kind] = 'on';
      else if (this.#media[kind] === 'on') this.#media[kind] = 'muted';
    }
    this.#on.peerMedia({...this.#media});
  }
}
