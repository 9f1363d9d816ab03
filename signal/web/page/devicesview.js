// The dialog in which devices are chosen, with a preview.

import {videoSizes} from './constraints.js';
import {newDialog} from './dialogs.js';
import {buttonById, byId, videoById} from './dom.js';
import {watchLevel} from './mixer.js';

/** @typedef {import('./media.js').LocalMedia} LocalMedia */

const selectById = (/** @type {string} */ id) => /** @type {HTMLSelectElement} */ (byId(id));
const meter = /** @type {HTMLMeterElement} */ (byId('levelMeter'));

/**
 * DevicesView opens camera and microphone while its dialog is open: to open it is to ask for a
 * preview. What is chosen holds for calls, and for the call that goes on.
 */
export class DevicesView {
  #local;
  #speaker;
  #requested;
  #inCall;
  /** @type {MediaStreamTrack | null} whose level is shown */
  #metered = null;
  #stopMeter = () => {};
  #dialog = newDialog('devicesDialog', {opener: 'devicesBtn', onopen: () => this.#opened(), onclose: () => this.#closed()});

  /**
   * @param {LocalMedia} local
   * @param {import('./speaker.js').Speaker} speaker
   * @param {import('./media.js').Kinds} requested what a preview opens
   * @param {() => boolean} inCall reports whether a call uses the devices
   */
  constructor(local, speaker, requested, inCall) {
    this.#local = local;
    this.#speaker = speaker;
    this.#requested = requested;
    this.#inCall = inCall;
    selectById('sizeSelect').replaceChildren(...Object.keys(videoSizes).map(name => new Option(name.replace('x', '×'), name)));
    onChoice('cameraSelect', video => local.choose({video}));
    onChoice('microphoneSelect', audio => local.choose({audio}));
    onChoice('speakerSelect', id => speaker.choose(id));
    onChoice('sizeSelect', size => local.choose({size}));
    buttonById('speakerBtn').onclick = async () => {
      await speaker.ask();
      this.#list();
    };
    buttonById('retryBtn').onclick = () => local.retry();
    buttonById('flipBtn').onclick = () => local.choose({video: '', facing: local.choice.facing === 'user' ? 'environment' : 'user'});
    navigator.mediaDevices?.addEventListener('devicechange', () => this.#list());
  }

  open() { this.#dialog.open(); }

  /** Shows the devices as they are now: called after each change of LocalMedia. */
  update() {
    const {problem} = this.#local;
    byId('devicesProblem').hidden = !problem;
    byId('devicesProblemText').textContent = problem;
    buttonById('flipBtn').hidden = !isTouch() || !this.#local.device('video');
    if (!this.#dialog.isOpen) return;
    this.#preview();
    this.#meter();
    this.#list();
  }

  #opened() {
    this.#local.open(this.#requested);
    this.#preview();
    this.#meter();
    this.#list();
  }

  #closed() {
    this.#stopMeter();
    this.#stopMeter = () => {};
    this.#metered = null;
    videoById('previewVideo').srcObject = null;
    if (!this.#inCall()) this.#local.close();
  }

  #preview() {
    const video = videoById('previewVideo'), track = this.#local.device('video');
    const [shown = null] = /** @type {MediaStream | null} */ (video.srcObject)?.getTracks() ?? [];
    if (track !== shown) video.srcObject = track && new MediaStream([track]);
    video.classList.toggle('mirrored', isMirrored(this.#local));
    byId('previewNote').textContent = track ? '' : previewNotes[this.#local.state.video];
  }

  #meter() {
    const track = this.#local.device('audio');
    if (track === this.#metered) return;
    this.#stopMeter();
    this.#metered = track;
    meter.value = 0;
    this.#stopMeter = track ? watchLevel(track, level => { meter.value = level; }) : () => {};
  }

  /** Lists the devices. Browsers give their names only once a device was allowed. */
  async #list() {
    const all = await navigator.mediaDevices?.enumerateDevices() ?? [];
    const {choice} = this.#local, inUse = (/** @type {'audio' | 'video'} */ kind) => this.#local.device(kind)?.getSettings().deviceId ?? choice[kind];
    fill(selectById('cameraSelect'), all, 'videoinput', inUse('video'), 'Camera');
    fill(selectById('microphoneSelect'), all, 'audioinput', inUse('audio'), 'Microphone');
    fill(selectById('speakerSelect'), all, 'audiooutput', this.#speaker.id, 'Speaker');
    selectById('sizeSelect').value = choice.size;
    const known = all.some(device => device.kind === 'audiooutput' && device.deviceId);
    selectById('speakerSelect').hidden = !known;
    buttonById('speakerBtn').hidden = known || !this.#speaker.canAsk;
    byId('speakerField').hidden = !this.#speaker.isPossible || !known && !this.#speaker.canAsk;
  }
}

const previewNotes = {pending: 'Waiting for the camera', missing: 'No camera', off: 'The camera is off', muted: 'The camera is off', on: 'The camera is off while a screen is shared'};

/**
 * Reports whether the video of this side is shown as in a mirror: that of a camera that looks at the user.
 * @param {LocalMedia} local
 */
export function isMirrored(local) {
  const track = local.device('video');
  return track !== null && track.getSettings().facingMode !== 'environment';
}

/**
 * @param {string} id of a select element
 * @param {(value: string) => void} choose
 */
function onChoice(id, choose) {
  const select = selectById(id);
  select.onchange = () => choose(select.value);
}

/**
 * Fills a list with the devices of a kind, unless that changes nothing: an open list would close.
 * @param {HTMLSelectElement} select
 * @param {MediaDeviceInfo[]} all
 * @param {MediaDeviceKind} kind
 * @param {string} selected
 * @param {string} name for devices without a label
 */
function fill(select, all, kind, selected, name) {
  const devices = all.filter(device => device.kind === kind && device.deviceId);
  const options = devices.map((device, i) => ({value: device.deviceId, text: device.label || `${name} ${i + 1}`}));
  if (!options.length) options.push({value: '', text: `Default ${name.toLowerCase()}`});
  const shown = [...select.options].map(({value, text}) => ({value, text}));
  if (JSON.stringify(shown) !== JSON.stringify(options)) select.replaceChildren(...options.map(o => new Option(o.text, o.value)));
  if (options.some(o => o.value === selected)) select.value = selected;
  select.disabled = options.length < 2;
}

function isTouch() {
  return matchMedia('(pointer: coarse)').matches;
}
