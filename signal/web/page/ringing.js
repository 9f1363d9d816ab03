// The dialog that asks whether to answer a call.

import {closeDialogs} from './dialogs.js';
import {buttonById, byId} from './dom.js';
import {RingTone} from './ringtone.js';

/**
 * @typedef {import('./media.js').Kinds} Kinds
 * @typedef {object} RingingEvents
 * @property {(devices: Kinds) => void} accept
 * @property {() => void} decline
 */

/** Ringing shows the caller, and rings. */
export class Ringing {
  #tone = new RingTone();
  #isShown = false;

  /**
   * @param {Kinds} devices that the user wants to use in calls
   * @param {RingingEvents} on
   */
  constructor(devices, on) {
    const {audio, video} = devices;
    buttonById('acceptBtn').textContent = video ? 'Answer with video' : 'Answer';
    buttonById('acceptBtn').onclick = () => on.accept({audio, video});
    buttonById('acceptAudioBtn').hidden = !video;
    buttonById('acceptAudioBtn').textContent = audio ? 'Audio only' : 'Without video';
    buttonById('acceptAudioBtn').onclick = () => on.accept({audio, video: false});
    buttonById('declineBtn').onclick = on.decline;
  }

  /** @param {string} peer as shown */
  show(peer) {
    closeDialogs(); // an open one would cover the buttons
    byId('ringingName').textContent = peer;
    byId('ringing').hidden = false;
    if (!this.#isShown) this.#tone.start();
    this.#isShown = true;
    // Not out of a field: an Enter meant for it must not answer a call.
    if (!(document.activeElement instanceof HTMLInputElement)) byId('acceptBtn').focus();
  }

  hide() {
    byId('ringing').hidden = true;
    this.#isShown = false;
    this.#tone.stop();
  }
}
