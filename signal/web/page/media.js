// The camera and microphone of this page, and what is sent of them.

import {explainErrors, openTracks, parseChoice} from './constraints.js';

/**
 * @typedef {import('./constraints.js').Kind} Kind
 * @typedef {import('./constraints.js').Choice} Choice
 * @typedef {'off' | 'pending' | 'on' | 'muted' | 'missing'} DeviceState off: not requested; pending:
 *   the browser asks the user; missing: denied, absent or in use
 * @typedef {{audio: boolean, video: boolean}} Kinds
 */

/** @type {Kind[]} */
export const kinds = ['audio', 'video'];

/**
 * LocalMedia holds what this page sends. Both tracks belong to one MediaStream: the original video
 * page shows nothing otherwise. The devices are open from open() to close(), and the camera is
 * closed while it is muted or a screen is sent in its place: its light is off then.
 */
export class LocalMedia {
  stream = new MediaStream(); // what is sent
  /** @type {Record<Kind, DeviceState>} of the devices */
  state = {audio: 'off', video: 'off'};
  /** @type {Partial<Record<Kind, MediaStreamTrack>>} */
  #devices = {};
  /** @type {Partial<Record<Kind, MediaStreamTrack>>} sent in place of a device */
  #shared = {};
  /** @type {Partial<Record<Kind, {name: string}>>} why a device is missing */
  #errors = {};
  #store;
  #choice;
  #onchange;
  /** @type {Promise<unknown>} */
  #asking = Promise.resolve();
  #asked = {audio: 0, video: 0}; // count the openings: only the last one of a kind is in force

  /**
   * @param {() => void} onchange
   * @param {{read(): unknown, write(value: unknown): void}} store of the choice
   */
  constructor(onchange, store) {
    this.#onchange = onchange;
    this.#store = store;
    this.#choice = parseChoice(store.read());
  }

  /** The devices and the size that the user has chosen. */
  get choice() { return this.#choice; }

  /** What is missing and why, for the user, or ''. */
  get problem() { return explainErrors(this.#errors); }

  /**
   * Opens the requested devices that are not open. A device that is missing is tried again.
   * @param {Kinds} requested
   */
  open(requested) {
    return this.#open(kinds.filter(kind => requested[kind] && (this.state[kind] === 'off' || this.state[kind] === 'missing')));
  }

  /** Asks again for the devices that are missing. */
  retry() {
    return this.#open(kinds.filter(kind => this.state[kind] === 'missing'));
  }

  /** Closes all devices. */
  close() {
    for (const kind of kinds) this.#drop(kind);
    this.#shared = {};
    this.#errors = {};
    this.#asking = Promise.resolve();
    for (const kind of kinds) this.#asked[kind]++;
    this.state = {audio: 'off', video: 'off'};
    this.#changed();
  }

  /**
   * Resolves when nothing is being opened, or after ms: a question of the browser that nobody
   * answers must not hold up a call.
   * @param {number} ms
   */
  settled(ms) {
    return Promise.race([this.#asking, new Promise(resolve => setTimeout(resolve, ms))]);
  }

  /**
   * Returns the track of a kind that is sent.
   * @param {Kind} kind
   * @returns {MediaStreamTrack | null}
   */
  track(kind) {
    return this.#shared[kind] ?? this.#devices[kind] ?? null;
  }

  /**
   * Returns the track of a camera or microphone, whether it is sent or not.
   * @param {Kind} kind
   * @returns {MediaStreamTrack | null}
   */
  device(kind) {
    return this.#devices[kind] ?? null;
  }

  /**
   * Reports whether something of a kind is sent, or will be once the user has answered the browser.
   * @param {Kind} kind
   */
  sends(kind) {
    return Boolean(this.#shared[kind]) || this.state[kind] === 'on' || this.state[kind] === 'pending';
  }

  /**
   * Mutes the microphone or closes the camera, or goes on. What was never opened is opened.
   * @param {Kind} kind
   * @param {boolean} muted
   */
  setMuted(kind, muted) {
    const state = this.state[kind];
    if (state === 'pending' || muted && state !== 'on') return;
    const device = this.#devices[kind];
    if (kind === 'video' && muted) this.#drop(kind);
    if (!muted && !device && !(kind === 'video' && this.#shared.video)) {
      this.#open([kind]);
      return;
    }
    if (kind === 'audio' && device) device.enabled = !muted;
    this.state[kind] = muted ? 'muted' : 'on';
    this.#changed();
  }

  /**
   * Uses another device or size from now on. An open device is closed first: phones open one camera
   * at a time.
   * @param {Partial<Choice>} change
   */
  choose(change) {
    this.#choice = parseChoice({...this.#choice, ...change});
    this.#store.write(this.#choice);
    /** @type {Kind} */
    const kind = 'audio' in change ? 'audio' : 'video';
    return this.#devices[kind] || this.state[kind] === 'missing' ? this.#open([kind]) : Promise.resolve();
  }

  /**
   * Sends other tracks in place of the devices, until they are given as undefined.
   * @param {Partial<Record<Kind, MediaStreamTrack | undefined>>} tracks
   */
  share(tracks) {
    Object.assign(this.#shared, tracks);
    if (this.#shared.video) this.#drop('video');
    else if (this.state.video === 'on' && !this.#devices.video) this.#open(['video']);
    this.#changed();
  }

  /** @param {Kind[]} opened */
  #open(opened) {
    if (!opened.length) return Promise.resolve();
    const muted = this.state.audio === 'muted';
    for (const kind of opened) {
      this.#drop(kind);
      this.#asked[kind]++;
      this.state[kind] = 'pending';
    }
    this.#changed();
    const done = this.#ask(opened, {...this.#asked}, muted);
    this.#asking = Promise.all([this.#asking, done]);
    return done;
  }

  /**
   * @param {Kind[]} opened
   * @param {Record<Kind, number>} asked
   * @param {boolean} muted whether the microphone stays muted
   */
  async #ask(opened, asked, muted) {
    const {tracks, errors} = await openTracks(opened, this.#choice);
    const current = opened.filter(kind => asked[kind] === this.#asked[kind]); // the others were closed or opened again
    for (const track of tracks) {
      if (current.includes(/** @type {Kind} */ (track.kind))) this.#add(track);
      else track.stop();
    }
    for (const kind of current) {
      delete this.#errors[kind];
      if (errors[kind]) this.#errors[kind] = errors[kind];
      this.state[kind] = this.#devices[kind] ? 'on' : 'missing';
    }
    if (current.includes('audio') && muted) this.setMuted('audio', true);
    if (current.length) this.#changed();
  }

  /** @param {MediaStreamTrack} track */
  #add(track) {
    const kind = /** @type {Kind} */ (track.kind);
    this.#drop(kind);
    this.#devices[kind] = track;
    track.onended = () => {
      this.#drop(kind);
      this.state[kind] = 'missing';
      this.#errors[kind] = {name: 'Ended'};
      this.#changed();
    };
  }

  /** @param {Kind} kind */
  #drop(kind) {
    const track = this.#devices[kind];
    delete this.#devices[kind];
    if (!track) return;
    track.onended = null;
    track.stop();
  }

  /** Puts what is sent into the stream. */
  #changed() {
    const sent = kinds.map(kind => this.track(kind));
    for (const track of this.stream.getTracks()) if (!sent.includes(track)) this.stream.removeTrack(track);
    for (const track of sent) if (track) this.stream.addTrack(track);
    this.#onchange();
  }
}
