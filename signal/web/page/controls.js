// The buttons for the own devices, and the ways to select files.

import {buttonById, byId, inputById} from './dom.js';
import {listed} from './filelist.js';

/**
 * @typedef {import('./media.js').Kind} Kind
 * @typedef {import('./media.js').LocalMedia} LocalMedia
 */

/** @type {Record<Kind, {id: string, mute: string, unmute: string}>} */
const muteButtons = {
  audio: {id: 'micBtn', mute: 'Mute the microphone', unmute: 'Unmute the microphone'},
  video: {id: 'camBtn', mute: 'Turn the camera off', unmute: 'Turn the camera on'},
};

/** MuteButtons mute the microphone and turn the camera off, and on again. */
export class MuteButtons {
  #local;

  /** @param {LocalMedia} local */
  constructor(local) {
    this.#local = local;
    for (const kind of /** @type {Kind[]} */ (Object.keys(muteButtons))) {
      buttonById(muteButtons[kind].id).onclick = () => local.setMuted(kind, local.state[kind] === 'on');
    }
    this.update(false);
  }

  /** Shows the state of the devices. Without a call and without open devices there is nothing to mute. */
  update(/** @type {boolean} */ inCall) {
    for (const kind of /** @type {Kind[]} */ (Object.keys(muteButtons))) {
      const {id, mute, unmute} = muteButtons[kind], button = buttonById(id), state = this.#local.state[kind];
      const isSending = state === 'on' || state === 'pending' || state === 'off' && !inCall;
      button.disabled = state === 'pending' || state === 'off' && !inCall;
      button.setAttribute('aria-pressed', String(!isSending));
      button.title = isSending ? mute : unmute;
      button.setAttribute('aria-label', button.title);
    }
  }
}

/**
 * @typedef {object} FileEvents
 * @property {() => boolean} isPossible whether there is a peer that takes files
 * @property {(list: import('./sending.js').Entry[]) => void} files
 * @property {(error: Error) => void} failed
 */

/**
 * Has files sent that are selected, or dropped on the conversation.
 * @param {FileEvents} on
 */
export function useFileInputs(on) {
  const input = inputById('filesInput'), panel = byId('panel');
  byId('filesBtn').onclick = () => input.click();
  input.onchange = async () => {
    const list = await listed(input);
    input.value = '';
    on.files(list);
  };
  const isWanted = (/** @type {DragEvent} */ e) => on.isPossible() && !!e.dataTransfer?.types.includes('Files');
  addEventListener('dragover', e => {
    e.preventDefault(); // else the browser leaves this page for the file
    panel.classList.toggle('drop', isWanted(e));
    if (e.dataTransfer) e.dataTransfer.dropEffect = isWanted(e) ? 'copy' : 'none';
  });
  addEventListener('dragleave', e => { if (!e.relatedTarget) panel.classList.remove('drop'); });
  addEventListener('drop', async e => {
    e.preventDefault();
    panel.classList.remove('drop');
    if (!isWanted(e) || !e.dataTransfer) return;
    try {
      on.files(await listed(e.dataTransfer));
    } catch (error) {
      on.failed(/** @type {Error} */ (error));
    }
  });
}
