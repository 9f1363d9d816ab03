// The screen, sent in place of the camera.
//
// Its video takes the place of the camera's in the same sender (replaceTrack): every peer shows it
// then, the original pages and terminals too, which show one video, and no offer is needed. Its
// audio is mixed with the microphone for the same reason.

import {mix} from './mixer.js';

/** ScreenShare has at most one capture at a time. */
export class ScreenShare {
  #local;
  #inCall;
  #onchange;
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {{track: MediaStreamTrack, close(): void} | null} */
  #mixed = null;
  /** @type {MediaStreamTrack | null} the microphone in the mix */
  #microphone = null;
  /** @type {object | null} the question of the browser that is open */
  #question = null;

  /**
   * @param {import('./media.js').LocalMedia} local
   * @param {() => boolean} inCall reports whether there is a peer to send it to
   * @param {(error: Error | null) => void} onchange called when it begins, ends or fails
   */
  constructor(local, inCall, onchange) {
    this.#local = local;
    this.#inCall = inCall;
    this.#onchange = onchange;
  }

  /** Reports whether the browser can capture a screen. */
  static get isPossible() { return typeof navigator.mediaDevices?.getDisplayMedia === 'function'; }

  get active() { return this.#stream !== null; }

  /** Asks the user for a screen, window or tab, and sends it. */
  async start() {
    if (this.active || this.#question) return;
    const question = this.#question = {};
    let stream;
    try {
      stream = await navigator.mediaDevices.getDisplayMedia({video: {frameRate: {ideal: 15, max: 30}}, audio: true});
    } catch (error) {
      if (this.#question !== question) return;
      this.#question = null;
      if (error.name !== 'NotAllowedError') this.#onchange(error); // else the user has cancelled
      return;
    }
    if (this.#question !== question || !this.#inCall()) { // it was about a call that has ended
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    this.#question = null;
    this.#stream = stream;
    const [video] = stream.getVideoTracks();
    video.contentHint = 'detail';
    video.onended = () => this.stop(); // by the browser's own control
    this.#local.share({video, ...this.#audio()});
    this.#onchange(null);
  }

  /** Ends the capture. An answer to a question of the browser that is still open has no effect. */
  stop() {
    this.#question = null;
    if (!this.#stream) return;
    for (const track of this.#stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    this.#stream = null;
    this.#unmix();
    this.#local.share({audio: undefined, video: undefined});
    this.#onchange(null);
  }

  /** Mixes again after the microphone has changed: called after each change of LocalMedia. */
  update() {
    if (this.#mixed && this.#local.device('audio') !== this.#microphone) this.#local.share(this.#audio());
  }

  /** @returns {{audio?: MediaStreamTrack}} */
  #audio() {
    const [screen] = this.#stream?.getAudioTracks() ?? [];
    this.#unmix();
    if (!screen) return {};
    this.#microphone = this.#local.device('audio');
    this.#mixed = mix([screen, this.#microphone]);
    return {audio: this.#mixed.track};
  }

  #unmix() {
    this.#mixed?.close();
    this.#mixed = this.#microphone = null;
  }
}
