// Where the local tracks are sent: the transceivers of one RTCPeerConnection.

import {kinds} from './media.js';

/**
 * @typedef {import('./media.js').Kind} Kind
 * @typedef {import('./media.js').LocalMedia} LocalMedia
 */

/** Senders assigns the camera and microphone to transceivers. */
export class Senders {
  #pc;
  #local;
  /** @type {Partial<Record<Kind, RTCRtpTransceiver>>} */
  #assigned = {};
  /** @type {Set<RTCRtpSender>} of tracks beside camera and microphone */
  #extra = new Set();

  /**
   * @param {RTCPeerConnection} pc
   * @param {LocalMedia} local
   */
  constructor(pc, local) {
    this.#pc = pc;
    this.#local = local;
  }

  /** Adds a transceiver of each kind, for the first offer: sending now, once the track is there, or receiving only. */
  addTransceivers() {
    for (const kind of kinds) {
      const streams = [this.#local.stream], track = this.#local.track(kind);
      this.#assigned[kind] = this.#pc.addTransceiver(track ?? kind, track || this.#local.sends(kind) ? {direction: 'sendrecv', streams} : {direction: 'recvonly'});
    }
  }

  /** Adds the tracks for the answer to the first offer. */
  addTracks() {
    for (const track of this.#local.stream.getTracks()) this.#pc.addTrack(track, this.#local.stream);
  }

  /** Chromium has no place for a track in a section that comes in several sizes (simulcast) unless it is put there. */
  async place() {
    const all = this.#pc.getTransceivers();
    for (const stray of all.filter(t => !t.mid && t.sender.track)) {
      const {track} = stray.sender;
      const free = all.find(t => t.mid && t.receiver.track.kind === track?.kind && t.direction === 'recvonly' && !t.sender.track);
      if (!free) continue;
      this.#pc.removeTrack(stray.sender); // stopped, it would get the next section all the same, and leave it inactive
      this.#startSending(free);
      await free.sender.replaceTrack(track);
    }
  }

  /** Has the answer promise to send what is still pending, so that it can be added without another offer. */
  reserve() {
    for (const kind of kinds) {
      const t = this.#transceiver(kind);
      if (t && !t.sender.track && this.#local.state[kind] === 'pending' && t.direction === 'recvonly') this.#startSending(t);
    }
  }

  /**
   * Sends the tracks that there are now. With announce, the directions say what is muted. Returns
   * whether an offer is needed.
   * @param {boolean} isEstablished whether directions can change
   * @param {boolean} announce
   */
  sync(isEstablished, announce) {
    let needed = false;
    for (const kind of kinds) {
      const sends = this.#local.sends(kind), track = this.#local.track(kind);
      let t = this.#transceiver(kind);
      if (!t && isEstablished && sends) {
        t = this.#assigned[kind] = this.#pc.addTransceiver(kind, {direction: 'sendrecv', streams: [this.#local.stream]});
        needed = true;
      }
      if (!t || t.direction === 'stopped') continue;
      if (t.sender.track !== track) t.sender.replaceTrack(track).catch(() => {});
      const isSending = /send/.test(t.direction);
      if (!isEstablished || sends === isSending || !sends && !announce) continue;
      if (sends) this.#startSending(t);
      else t.direction = t.direction === 'sendrecv' ? 'recvonly' : 'inactive';
      needed = true;
    }
    return needed;
  }

  /**
   * Sends a track beside camera and microphone, such as that of a screen. An offer is needed.
   * @param {MediaStreamTrack} track
   * @param {MediaStream} stream
   */
  add(track, stream) {
    const {sender} = this.#pc.addTransceiver(track, {direction: 'sendonly', streams: [stream]});
    this.#extra.add(sender);
    return sender;
  }

  /**
   * Ends what add began. An offer is needed.
   * @param {RTCRtpSender} sender
   */
  remove(sender) {
    this.#extra.delete(sender);
    this.#pc.getTransceivers().find(t => t.sender === sender)?.stop();
  }

  /** @param {Kind} kind */
  #transceiver(kind) {
    const all = this.#pc.getTransceivers().filter(t => t.receiver.track.kind === kind && !this.#extra.has(t.sender));
    const assigned = this.#assigned[kind];
    if (assigned && all.includes(assigned)) return assigned;
    return this.#assigned[kind] = all.find(t => t.mid && t.sender.track) ?? all.find(t => t.mid) ?? all[0];
  }

  /** @param {RTCRtpTransceiver} t */
  #startSending(t) {
    t.direction = t.direction === 'inactive' ? 'sendonly' : 'sendrecv';
    t.sender.setStreams?.(this.#local.stream);
  }
}
